"""Outcomes on their way into the ledger: flushed every 200 rows or 100 ms.

See docs/architecture.md#ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from types import TracebackType

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.channels import health
from soonish.delivery.channels.health import Answer
from soonish.delivery.ledger import ledger
from soonish.delivery.ledger.ledger import Claimed
from soonish.delivery.ledger.owner_mail import mail_owners
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.infra.db.errors import DATABASE_ERRORS, name_of
from soonish.infra.db.models.notifications import State
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.workflow_types import DeliveryReport

FLUSH_ROWS = 200
FLUSH_SECONDS = 0.1
RETRY_SECONDS = 1.0
MAX_TRIES = 40  # within the lease of the rows
log = structlog.get_logger()


@dataclass(frozen=True)
class Mark:
    """What became of a row; `answer` where it went over a channel."""

    row: Claimed
    result: SendResult
    answer: Answer | None


class Marks:
    """Collects the results of one activity attempt; on exit everything is written."""

    def __init__(self, db: Database, lease_token: str, report: DeliveryReport) -> None:
        self._db = db
        self._lease_token = lease_token
        self._report = report
        self._results: list[Mark] = []
        self._unreachable: list[tuple[Claimed, Outcome]] = []
        self._full = asyncio.Event()
        self._writing = asyncio.Lock()
        self._closing = False
        self._tries = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Marks:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        self._full.set()
        if self._task:
            await self._task

    def add(
        self,
        row: Claimed,
        result: SendResult,
        integration_id: int | None = None,
        *,
        probe: bool = False,
    ) -> None:
        """`integration_id`: the channel it went over; `probe`: as its leave said."""
        answer = None if integration_id is None else Answer(integration_id, result, probe)
        self._results.append(Mark(row, result, answer))
        if len(self._results) >= FLUSH_ROWS:
            self._full.set()

    def unreachable(self, row: Claimed, outcome: Outcome) -> None:
        self._unreachable.append((row, outcome))

    async def written(self) -> None:
        """Back when everything that was added is in the ledger."""
        async with self._writing:
            while self._results or self._unreachable:
                await self._flush_or_keep()

    async def _run(self) -> None:
        while not self._closing or self._results or self._unreachable:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), FLUSH_SECONDS)
            if not self._closing:
                self._full.clear()
            async with self._writing:
                if self._results or self._unreachable:
                    await self._flush_or_keep()

    async def _flush_or_keep(self) -> None:
        """A database that is away for a while costs no mark: they are kept and tried again."""
        results, self._results = self._results, []
        unreachable, self._unreachable = self._unreachable, []
        try:
            await self._flush(results, unreachable)
        except DATABASE_ERRORS as error:
            self._tries += 1
            if self._tries > MAX_TRIES:
                raise
            log.warning("marks wait for the database", error=name_of(error))
            self._results = results + self._results
            self._unreachable = unreachable + self._unreachable
            await asyncio.sleep(RETRY_SECONDS)
        else:
            self._tries = 0

    async def _flush(
        self,
        results: list[Mark],
        unreachable: list[tuple[Claimed, Outcome]],
    ) -> None:
        """One transaction; what it wrote counts once it is committed."""
        async with self._db.write() as session:
            delivered = await self._write_sent(session, [r for r in results if r.result.ok])
            failures = [mark for mark in results if not mark.result.ok]
            with session.no_autoflush:  # what they note of each try is written together
                states = [await self._write_not_sent(session, mark) for mark in failures]
            answers = [mark.answer for mark in failures if mark.answer]
            await mail_owners(session, await health.note_failures(session, answers, utc_now()))
            for outcome in {outcome for _, outcome in unreachable}:
                ids = [row.id for row, o in unreachable if o is outcome]
                await ledger.mark_unreachable(session, ids, self._lease_token, outcome)
        failed = states.count(State.FAILED)
        self._report.delivered += delivered
        self._report.failed += failed
        self._report.pending += len(states) - failed + len(unreachable)

    async def _write_sent(self, session: AsyncSession, sent: list[Mark]) -> int:
        if not sent:
            return 0
        now = utc_now()
        ids = [mark.row.id for mark in sent]
        marked = await ledger.mark_sent(session, ids, self._lease_token, now)
        used = {mark.answer.integration_id for mark in sent if mark.answer}
        if used:
            await health.note_success(session, used, now)
        log.info("deliveries sent", rows=len(ids), notification_id=sent[0].row.notification_id)
        return marked

    async def _write_not_sent(self, session: AsyncSession, mark: Mark) -> State:
        row, result = mark.row, mark.result
        state = await ledger.mark_not_sent(session, row, self._lease_token, result, utc_now())
        log.warning(
            "delivery not sent",
            delivery_id=row.id,
            notification_id=row.notification_id,
            state=state.value,
            outcome=result.outcome.value,
            status=result.status,
        )
        return state
