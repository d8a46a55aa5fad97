"""The ledger against a model, in any order of what can happen to it.

SQLite only: the statements are the same on both databases (test_ledger.py runs on both), and a
step costs a tenth of PostgreSQL's.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from soonish.delivery.ledger import completion, expansion, ledger
from soonish.delivery.ledger.ledger import Claimed
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.domain.events import service as events
from soonish.domain.notifications.service import retry_failed
from soonish.errors import Conflict
from soonish.infra.db import crypto
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from tests.support.settings import make_settings
from tests.support.world import World

_CHUNK = 50
RESULTS = st.sampled_from(
    [
        SendResult(Outcome.OK),
        SendResult(Outcome.REJECTED, "no", 400),
        SendResult(Outcome.CONNECTION, "gone", retryable=True),
        SendResult(Outcome.RATE_LIMITED, "later", 429, retry_after=30, retryable=True),
    ]
)
FINAL = {"sent", "failed", "expired", "suppressed"}
_template: Path | None = None


class LedgerMachine(RuleBasedStateMachine):
    """`sends` counts what the outside world got; the model says what it may have got."""

    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="soonish-machine-"))
        assert _template is not None
        shutil.copy(_template, self.folder / "soonish.db")
        made = make_settings(self.folder, database_url=f"sqlite:///{self.folder}/soonish.db")
        crypto.configure(made)
        self.world = World(Database(made), made)
        self.now = utc_now()
        self.active: set[int] = set()
        self.ended: set[int] = set()
        self.expected: dict[int, set[int]] = {}  # notification -> subscriptions
        self.anchors: dict[int, Any] = {}
        self.sends: dict[int, int] = {}  # delivery -> accepted sends
        self.lost_marks: dict[int, int] = {}  # of those, sends whose mark died with the worker
        self.tokens = 0
        self.cancelled = False

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def write(self, function: Any, *arguments: Any, **named: Any) -> Any:
        async def call() -> Any:
            async with self.world.db.write() as session:
                return await function(session, *arguments, **named)

        return self.run(call())

    @initialize()
    def an_event(self) -> None:
        self.event = self.run(self.world.event())
        self.subscribe()

    @precondition(lambda self: len(self.active) < 6)
    @rule()
    def subscribe(self) -> None:
        self.active.add(self.run(self.world.subscribe(self.event)).id)

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def unsubscribe(self, data: Any) -> None:
        chosen = data.draw(st.sampled_from(sorted(self.active)))
        self.run(self.world.end(chosen))
        self.active.remove(chosen)
        self.ended.add(chosen)

    @precondition(lambda self: len(self.expected) < 6 and not self.cancelled)
    @rule(is_reminder=st.booleans(), minutes=st.sampled_from([2, 60]))
    def notify(self, is_reminder: bool, minutes: int) -> None:
        start = self.run(self.world.one(Event)).start_date
        values = {"kind": "reminder", "anchor": "start", "anchor_at": start} if is_reminder else {}
        expires_at = self.now + timedelta(minutes=minutes)
        notice = self.run(self.world.expanded(self.event, expires_at=expires_at, **values))
        self.expected[notice.id] = set(self.active)
        self.anchors[notice.id] = start if is_reminder else None

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def expand_again(self, data: Any) -> None:
        """A repeated advance: it adds who came meanwhile, and nobody twice."""
        chosen = data.draw(st.sampled_from(sorted(self.expected)))

        async def again(session: Any) -> None:
            row = await expansion.lock(session, chosen)
            mine = Subscription.event_id == self.event.id
            expires_at = self.now + timedelta(minutes=60)
            await expansion.expand(session, row, mine, now=self.now, expires_at=expires_at)

        self.write(again)
        self.expected[chosen] |= self.active

    @precondition(lambda self: self.expected)
    @rule(target=claims, data=st.data(), limit=st.integers(1, 4))
    def claim(self, data: Any, limit: int) -> Any:
        chosen = data.draw(st.sampled_from(sorted(self.expected)))
        self.tokens += 1
        token = f"w{self.tokens}:1"
        rows = self.write(ledger.claim, chosen, token, limit=limit, now=self.now)
        return multiple(*((token, row) for row in rows))

    @rule(held=consumes(claims), result=RESULTS, crash=st.booleans())
    def send(self, held: tuple[str, Claimed], result: SendResult, crash: bool) -> None:
        """As the deliverer: check, send, mark; a crash may come before the mark."""
        token, row = held
        good = self.write(ledger.still_sendable, [row.id], token, self.now)
        if row.id not in good:
            self.write(ledger.release, [row.id], token, self.now)
            return
        assert row.subscription_id in self.active, "sent to somebody who left"
        assert not self.cancelled, "sent for a cancelled event"
        anchor = self.anchors[row.notification_id]
        assert anchor in (None, self.run(self.world.one(Event)).start_date), "sent after a move"
        if result.ok:
            self.sends[row.id] = self.sends.get(row.id, 0) + 1
        if crash:
            self.lost_marks[row.id] = self.lost_marks.get(row.id, 0) + result.ok
        elif result.ok:
            assert self.write(ledger.mark_sent, [row.id], token, self.now) == 1
        else:
            self.write(ledger.mark_not_sent, row, token, result, self.now)

    @rule(held=consumes(claims))
    def give_back(self, held: tuple[str, Claimed]) -> None:
        token, row = held
        self.write(ledger.release, [row.id], token, self.now)

    @rule(held=consumes(claims))
    def find_no_channel(self, held: tuple[str, Claimed]) -> None:
        token, row = held
        outcome = Outcome.CHANNEL_INACTIVE
        self.write(ledger.mark_unreachable, [row.id], token, outcome)

    @rule(seconds=st.sampled_from([1, 15, 61, 200]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def move_event(self) -> None:
        start = self.run(self.world.one(Event)).start_date + timedelta(hours=1)
        self.run(self.world.change(Event, self.event.id, start_date=start))

    @precondition(lambda self: not self.cancelled and len(self.expected) > 2)
    @rule()
    def cancel(self) -> None:
        async def both(session: Any) -> None:
            row = await session.get_one(Event, self.event.id)
            await events.cancel_locked(session, row, self.now)
            await expansion.suppress_open(session, row.id, 0, self.now)

        self.write(both)
        self.cancelled = True

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def replay(self, data: Any) -> None:
        chosen = data.draw(st.sampled_from(sorted(self.expected)))

        async def again(session: Any) -> None:
            row = await session.get_one(Notification, chosen)
            with contextlib.suppress(Conflict):  # too late for every one of them
                await retry_failed(session, row, self.now)

        self.write(again)

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def settle(self, data: Any) -> None:
        chosen = data.draw(st.sampled_from(sorted(self.expected)))
        state = self.write(completion.complete_if_done, chosen, self.now)
        rows = self.run(self.world.deliveries(chosen))
        busy = [r for r in rows if r.state in ("sending", "retrying")]
        ready = [r for r in rows if r.state == "pending" and r.outcome is None]
        assert state.completed == (not busy and not ready)

    @invariant()
    def no_row_is_lost_or_doubled(self) -> None:
        for notice, people in self.expected.items():
            rows = self.run(self.world.deliveries(notice))
            assert sorted(r.subscription_id for r in rows) == sorted(people)

    @invariant()
    def what_is_counted_was_sent(self) -> None:
        for row in self.run(self.world.rows(Delivery)):
            sends, lost = self.sends.get(row.id, 0), self.lost_marks.get(row.id, 0)
            assert (row.state == "sent") <= (sends >= 1)
            assert sends - lost == (row.state == "sent"), "more marks than sends, or sent again"
            if row.state in FINAL:
                assert row.finished_at is not None
                assert row.lease_token is None

    @invariant()
    def complete_means_nothing_to_do(self) -> None:
        for notice in self.run(self.world.rows(Notification)):
            if notice.completed_at is not None:
                for row in self.run(self.world.deliveries(notice.id)):
                    waits = (row.state, row.outcome) == ("pending", "channel_inactive")
                    assert row.state in FINAL or waits

    def teardown(self) -> None:
        """However it went, the passes that follow come to an end."""
        if self.expected:
            self.now += timedelta(days=4)
            for chosen in self.expected:
                assert self.write(completion.complete_if_done, chosen, self.now).completed
                assert self.write(ledger.claim, chosen, "last:1", limit=_CHUNK, now=self.now) == []
        self.run(self.world.db.close())
        self.loop.close()
        shutil.rmtree(self.folder)


def test_any_order_of_events(migrated_sqlite: Path) -> None:
    global _template
    _template = migrated_sqlite
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=35,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )
