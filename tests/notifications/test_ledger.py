"""Every transition of the ledger (docs/architecture.md#ledger), on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from soonish.delivery.ledger import completion, expansion, ledger
from soonish.delivery.ledger.ledger import Claimed
from soonish.delivery.ledger.retry import MAX_ATTEMPTS
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery, DeliveryAttempt, Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.workflow_types import BroadcastState
from tests.support.world import World

REFUSED = SendResult(Outcome.REJECTED, "The service answered 400", 400)
BROKEN = SendResult(Outcome.CONNECTION, "No answer", retryable=True)
FIRST = "a:1"
BUSY = SendResult(Outcome.RATE_LIMITED, "Later", 429, retry_after=30, retryable=True)


class Ledger:
    """One notification's rows; `now` moves by hand."""

    def __init__(self, world: World, notification: Notification) -> None:
        self.world, self.id, self.now = world, notification.id, utc_now()

    async def call(self, function: Any, *arguments: Any, **named: Any) -> Any:
        async with self.world.db.write() as session:
            return await function(session, *arguments, **named)

    async def claim(
        self, token: str = FIRST, previous: Sequence[str] = (), limit: int = 100
    ) -> list[Claimed]:
        return await self.call(
            ledger.claim, self.id, token, previous=previous, limit=limit, now=self.now
        )

    async def settle(self) -> BroadcastState:
        return await self.call(completion.complete_if_done, self.id, self.now)

    async def fail(self, row: Claimed, result: SendResult, token: str = FIRST) -> Any:
        return await self.call(ledger.mark_not_sent, row, token, result, self.now)

    async def sent(self, rows: Sequence[Claimed], token: str = FIRST) -> int:
        return await self.call(ledger.mark_sent, [row.id for row in rows], token, self.now)

    async def release(self, rows: Sequence[Claimed], token: str = FIRST) -> None:
        await self.call(ledger.release, [row.id for row in rows], token, self.now)

    async def row(self) -> Delivery:
        return await self.world.one(Delivery, Delivery.notification_id == self.id)

    async def states(self) -> list[str]:
        return await self.world.states(self.id)

    async def completed_at(self) -> datetime | None:
        return (await self.world.one(Notification, Notification.id == self.id)).completed_at

    def later(self, **units: float) -> None:
        self.now += timedelta(**units)


async def one_recipient(world: World, **values: Any) -> tuple[Ledger, Event, int]:
    event = await world.event()
    subscription = await world.subscribe(event)
    return Ledger(world, await world.expanded(event, **values)), event, subscription.id


async def test_claimed_and_sent(world: World) -> None:
    book, _, subscription_id = await one_recipient(world)
    assert (await book.settle()).claimable == 1
    (claimed,) = await book.claim()
    assert (claimed.subscription_id, claimed.target_key, claimed.attempts) == (
        subscription_id, "mail", 0,
    )  # fmt: skip
    row = await book.row()
    assert (row.state, row.claims, row.lease_token) == ("sending", 1, "a:1")
    assert row.lease_until == book.now + ledger.LEASE
    assert row.first_attempt_at == book.now
    assert await book.claim("b:1") == []
    assert await book.sent([claimed]) == 1
    row = await book.row()
    assert (row.state, row.attempts, row.claims, row.outcome) == ("sent", 1, 0, "ok")
    assert row.lease_token is None
    assert row.finished_at == book.now
    state = await book.settle()
    assert (state.completed, state.claimable, state.wait_seconds) == (True, 0, None)
    assert await book.completed_at() == book.now
    assert await world.rows(DeliveryAttempt) == []  # the ledger's row says it all


async def test_a_claim_takes_no_more_than_its_limit(world: World) -> None:
    event = await world.event()
    await world.crowd(event, 5)
    book = Ledger(world, await world.expanded(event))
    first, second = await book.claim("a:1", limit=3), await book.claim("b:1", limit=3)
    assert [len(first), len(second)] == [3, 2]
    assert len({row.id for row in first + second}) == 5  # each once; which ones first is open


async def test_only_the_holder_of_the_lease_marks(world: World) -> None:
    book, _, _ = await one_recipient(world)
    (old,) = await book.claim("a:1")
    book.later(seconds=61)
    (new,) = await book.claim("b:1")
    assert await book.sent([old], "a:1") == 0
    await book.fail(old, REFUSED, "a:1")
    await book.release([old], "a:1")
    row = await book.row()
    assert (row.state, row.lease_token, row.claims) == ("sending", "b:1", 2)
    assert await world.rows(DeliveryAttempt) == []
    assert await book.sent([new], "b:1") == 1


async def test_a_retried_activity_takes_its_predecessors_rows_at_once(world: World) -> None:
    book, _, _ = await one_recipient(world)
    await book.claim("a:1")
    assert await book.claim("b:1") == []
    assert len(await book.claim("a:2", previous=["a:1"])) == 1
    assert (await book.row()).lease_token == "a:2"


async def test_retries_wait_longer_and_end(world: World) -> None:
    book, _, _ = await one_recipient(world)
    waits: list[float] = []
    for attempt in range(MAX_ATTEMPTS):
        (claimed,) = await book.claim()
        assert claimed.attempts == attempt
        await book.fail(claimed, BROKEN)
        row = await book.row()
        if row.next_attempt_at:
            state = await book.settle()
            assert (state.completed, state.claimable) == (False, 0)
            waits.append((row.next_attempt_at - book.now).total_seconds())
            assert state.wait_seconds == pytest.approx(waits[-1])
            assert await book.claim("b:1") == []
            book.now = row.next_attempt_at
    row = await book.row()
    assert (row.state, row.attempts, row.outcome) == ("failed", 3, "connection")
    assert 8 <= waits[0] <= 12
    assert 96 <= waits[1] <= 144
    tries = await world.rows(DeliveryAttempt)
    assert [t.attempt for t in tries] == [1, 2, 3]
    assert (await book.settle()).completed


async def test_a_refusal_is_final(world: World) -> None:
    book, _, _ = await one_recipient(world)
    (claimed,) = await book.claim()
    await book.fail(claimed, REFUSED)
    row = await book.row()
    assert (row.state, row.outcome, row.outcome_detail) == ("failed", "rejected", REFUSED.detail)
    assert row.finished_at == book.now
    assert await book.claim() == []


async def test_retry_after_counts_no_attempt_and_is_bounded(world: World) -> None:
    book, _, _ = await one_recipient(world)
    for asked, waited in ((30.0, 30), (86_400.0, 900), (0.0, 1)):
        (claimed,) = await book.claim()
        busy = SendResult(Outcome.RATE_LIMITED, "", 429, retry_after=asked, retryable=True)
        await book.fail(claimed, busy)
        row = await book.row()
        assert (row.state, row.attempts, row.claims) == ("retrying", 0, 0)
        assert row.next_attempt_at == book.now + timedelta(seconds=waited)
        book.now = row.next_attempt_at
    assert [row.status for row in await world.rows(DeliveryAttempt)] == [429, 429, 429]


async def test_a_success_after_a_failure_is_a_try_of_its_own(world: World) -> None:
    book, _, _ = await one_recipient(world)
    for result in (BUSY, BROKEN):
        (claimed,) = await book.claim()
        await book.fail(claimed, result)
        book.later(minutes=1)
    assert await book.sent(await book.claim()) == 1
    tries = [(t.attempt, t.outcome, t.at) for t in await world.rows(DeliveryAttempt)]
    assert [(number, outcome) for number, outcome, _ in tries] == [
        (1, "rate_limited"), (1, "connection"), (2, "ok"),
    ]  # fmt: skip
    assert tries[-1][2] == book.now
    assert (await book.row()).attempts == 2


async def test_given_back_rows_can_be_claimed_again(world: World) -> None:
    """Also those that were asked to wait: they have an outcome and no counted attempt."""
    book, _, _ = await one_recipient(world)
    await book.release(await book.claim())
    row = await book.row()
    assert (row.state, row.claims, row.lease_token) == ("pending", 0, None)
    (claimed,) = await book.claim()
    await book.fail(claimed, BUSY)
    book.later(minutes=1)
    await book.release(await book.claim())
    assert await book.states() == ["retrying"]
    assert (await book.settle()).claimable == 1
    assert len(await book.claim()) == 1


async def test_a_lapsed_lease_is_anybodys_and_ten_claims_are_the_end(world: World) -> None:
    book, _, _ = await one_recipient(world)
    for number in range(ledger.MAX_CLAIMS):
        assert len(await book.claim(f"w{number}:1")) == 1
        assert (await book.settle()).claimable == 0
        book.later(seconds=61)
    assert await book.claim("z:1") == []
    row = await book.row()
    assert (row.state, row.outcome) == ("failed", "unknown")
    assert (await book.settle()).completed


async def test_ten_claims_are_the_end_within_one_activity_too(world: World) -> None:
    """A row that kills its worker comes back at once to the next attempt, lease or not."""
    book, _, _ = await one_recipient(world)
    tokens = [f"a:{n}" for n in range(1, 20)]
    taken = [len(await book.claim(t, previous=tokens[:n])) for n, t in enumerate(tokens)]
    assert taken == [1] * ledger.MAX_CLAIMS + [0] * (19 - ledger.MAX_CLAIMS)
    assert await book.states() == ["failed"]


async def test_an_answer_ends_the_counting_of_claims(world: World) -> None:
    book, _, _ = await one_recipient(world)
    await book.claim()
    book.later(seconds=61)
    (claimed,) = await book.claim()
    await book.fail(claimed, BROKEN)
    assert (await book.row()).claims == 0


@pytest.mark.parametrize("began", ["pending", "retrying", "sending"])
async def test_expired_rows_are_put_down(world: World, began: str) -> None:
    book, _, _ = await one_recipient(world, expires_at=utc_now() + timedelta(minutes=5))
    if began != "pending":
        (claimed,) = await book.claim()
        if began == "retrying":
            await book.fail(claimed, BROKEN)
    assert await book.states() == [began]
    book.later(minutes=5)
    assert await book.claim("b:1") == []
    row = await book.row()
    assert (row.state, row.outcome, row.finished_at) == ("expired", "expired", book.now)
    assert (await book.settle()).completed


@pytest.mark.parametrize("kind", ["manual", "welcome", "update", "reminder"])
async def test_nothing_is_sent_to_who_left(world: World, kind: str) -> None:
    book, _, subscription_id = await one_recipient(world, kind=kind)
    await world.end(subscription_id)
    assert await book.claim() == []
    assert await book.states() == ["suppressed"]


@pytest.mark.parametrize("kind", ["removed", "unsubscribed"])
async def test_a_farewell_reaches_who_left_even_a_cancelled_event(world: World, kind: str) -> None:
    book, event, subscription_id = await one_recipient(world, kind=kind)
    await world.end(subscription_id)
    await world.change(Event, event.id, cancelled_at=utc_now())
    (claimed,) = await book.claim()
    assert await book.call(ledger.still_sendable, [claimed.id], "a:1", book.now) == {claimed.id}


async def test_a_cancelled_event_sends_its_cancellation_only(world: World) -> None:
    book, event, _ = await one_recipient(world)
    notice = Ledger(world, await world.expanded(event, kind="cancelled"))
    await world.change(Event, event.id, cancelled_at=utc_now())
    assert await book.claim() == []
    assert await book.states() == ["suppressed"]
    assert len(await notice.claim()) == 1


@pytest.mark.parametrize("anchor", ["start", "end"])
async def test_a_moved_anchor_silences_its_reminder(world: World, anchor: str) -> None:
    event = await world.event(end_date=utc_now() + timedelta(hours=50))
    await world.subscribe(event)
    anchor_at = event.start_date if anchor == "start" else event.end_date
    book = Ledger(
        world, await world.expanded(event, kind="reminder", anchor=anchor, anchor_at=anchor_at)
    )
    (claimed,) = await book.claim()
    assert await book.call(ledger.still_sendable, [claimed.id], "a:1", book.now) == {claimed.id}
    await world.change(Event, event.id, **{f"{anchor}_date": anchor_at + timedelta(minutes=1)})
    assert await book.call(ledger.still_sendable, [claimed.id], "a:1", book.now) == set()
    await book.release([claimed])
    assert await book.claim() == []
    assert await book.states() == ["suppressed"]


async def test_an_end_that_was_taken_away_silences_the_reminder_before_it(world: World) -> None:
    event = await world.event(end_date=utc_now() + timedelta(hours=50))
    await world.subscribe(event)
    book = Ledger(
        world,
        await world.expanded(event, kind="reminder", anchor="end", anchor_at=event.end_date),
    )
    await world.change(Event, event.id, end_date=None)
    assert await book.claim() == []


async def test_the_last_check_before_a_send(world: World) -> None:
    book, _, subscription_id = await one_recipient(
        world, expires_at=utc_now() + timedelta(seconds=50)
    )
    (claimed,) = await book.claim()

    async def good(token: str = FIRST) -> bool:
        found = await book.call(ledger.still_sendable, [claimed.id], token, book.now)
        return found == {claimed.id}

    assert await good()
    assert not await good("b:1")
    book.later(seconds=41)  # less than 20 s of lease are left
    assert not await good()
    book.later(seconds=-41)
    await world.end(subscription_id)
    assert not await good()


async def test_a_zombie_cannot_revive_a_suppressed_row(world: World) -> None:
    book, _, subscription_id = await one_recipient(world)
    (zombie,) = await book.claim("a:1")
    await world.end(subscription_id)
    book.later(seconds=61)
    assert (await book.settle()).completed
    assert await book.states() == ["suppressed"]
    assert await book.sent([zombie], "a:1") == 0
    await book.release([zombie], "a:1")
    assert await book.states() == ["suppressed"]


async def test_an_unreachable_row_waits_for_nobody(world: World) -> None:
    book, _, _ = await one_recipient(world)
    rows = await book.claim()
    ids = [row.id for row in rows]
    await book.call(ledger.mark_unreachable, ids, "a:1", Outcome.CHANNEL_INACTIVE)
    row = await book.row()
    assert (row.state, row.outcome, row.claims) == ("pending", "channel_inactive", 0)
    assert await book.claim() == []
    assert (await book.settle()).completed


@pytest.mark.parametrize("detail", ["nul \0 inside", "half a \udc80 letter", "x" * 1000])
async def test_every_detail_can_be_stored(world: World, detail: str) -> None:
    book, _, _ = await one_recipient(world)
    (claimed,) = await book.claim()
    await book.fail(claimed, SendResult(Outcome.REJECTED, detail))
    assert await book.states() == ["failed"]
    (recorded,) = await world.rows(DeliveryAttempt)
    assert len(recorded.detail or "") <= 300


async def test_rows_that_come_later_reopen_the_notification(world: World) -> None:
    event = await world.event()
    await world.subscribe(event)
    notification = await world.expanded(event)
    book = Ledger(world, notification)
    await book.sent(await book.claim())
    assert (await book.settle()).completed
    await world.subscribe(event)
    async with world.db.write() as session:
        again = await expansion.lock(session, notification.id)
        assert again is not None
        mine = Subscription.event_id == event.id
        added = await expansion.expand(session, again, mine, now=book.now)
    assert (added, await book.states()) == (1, ["sent", "pending"])
    assert await book.completed_at() is None
    state = await book.settle()
    assert (state.completed, state.claimable) == (False, 1)


async def test_open_broadcasts_are_what_can_be_sent_oldest_first(world: World) -> None:
    event, other = await world.event(), await world.event()
    for one in (event, other):
        await world.crowd(one, 3)
    books = [Ledger(world, await world.expanded(e)) for e in (event, other, event, event)]
    done = books[2]
    await done.sent(await done.claim())
    await done.settle()
    await books[3].claim(limit=1)
    async with world.db.read() as session:
        found = await completion.open_broadcasts(session, event.id, utc_now())
    assert [(work.notification_id, work.claimable) for work in found] == [
        (books[0].id, 3), (books[3].id, 2),
    ]  # fmt: skip


async def test_a_notification_that_is_gone_is_complete(world: World) -> None:
    async with world.db.write() as session:
        assert (await completion.complete_if_done(session, 4711, utc_now())).completed
