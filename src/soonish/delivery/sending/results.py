"""Write the results of sends to the ledger, every 200 rows or 100 ms.

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
from soonish.delivery.channels.health import ChannelResult
from soonish.delivery.ledger import ledger
from soonish.delivery.ledger.account_mail import mail_owners
from soonish.delivery.ledger.ledger import Claimed
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.infra.db.errors import DATABASE_ERRORS, error_name
from soonish.infra.db.models.notifications import DeliveryState
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.workflow_types import DeliveryReport

FLUSH_ROWS = 200
FLUSH_SECONDS = 0.1
RETRY_SECONDS = 1.0
MAX_TRIES = 40  # within the lease of the rows
log = structlog.get_logger()


@dataclass(frozen=True)
class SendRecord:
    """The result of sending a row, and the same for its channel if it went over one."""

    row: Claimed
    result: SendResult
    channel: ChannelResult | None


class ResultWriter:
    """Collects the results of one activity attempt; on exit everything is written."""

    def __init__(self, db: Database, lease_token: str, report: DeliveryReport) -> None:
        self._db = db
        self._lease_token = lease_token
        self._report = report
        self._results: list[SendRecord] = []
        self._unreachable: list[tuple[Claimed, Outcome]] = []
        self._full = asyncio.Event()
        self._writing = asyncio.Lock()
        self._closing = False
        self._tries = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> ResultWriter:
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
        """Queue the result of a row; `integration_id` and `probe` if it went over a channel."""
        channel = None if integration_id is None else ChannelResult(integration_id, result, probe)
        self._results.append(SendRecord(row, result, channel))
        if len(self._results) >= FLUSH_ROWS:
            self._full.set()

    def add_unreachable(self, row: Claimed, outcome: Outcome) -> None:
        """Queue a row that no channel serves now."""
        self._unreachable.append((row, outcome))

    async def flush(self) -> None:
        """Write everything that was added."""
        async with self._writing:
            while self._results or self._unreachable:
                await self._write_or_keep()

    async def _run(self) -> None:
        while not self._closing or self._results or self._unreachable:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), FLUSH_SECONDS)
            if not self._closing:
                self._full.clear()
            async with self._writing:
                if self._results or self._unreachable:
                    await self._write_or_keep()

    async def _write_or_keep(self) -> None:
        """Write the queue; keep it and try again while the database does not answer."""
        results, self._results = self._results, []
        unreachable, self._unreachable = self._unreachable, []
        try:
            await self._write(results, unreachable)
        except DATABASE_ERRORS as error:
            self._tries += 1
            if self._tries > MAX_TRIES:
                raise
            log.warning("marks wait for the database", error=error_name(error))
            self._results = results + self._results
            self._unreachable = unreachable + self._unreachable
            await asyncio.sleep(RETRY_SECONDS)
        else:
            self._tries = 0

    async def _write(
        self,
        results: list[SendRecord],
        unreachable: list[tuple[Claimed, Outcome]],
    ) -> None:
        """Write in one transaction, and count after the commit."""
        async with self._db.write() as session:
            delivered = await self._write_sent(session, [r for r in results if r.result.ok])
            failures = [mark for mark in results if not mark.result.ok]
            with session.no_autoflush:  # write all attempts together
                states = [await self._write_not_sent(session, mark) for mark in failures]
            channels = [mark.channel for mark in failures if mark.channel]
            await mail_owners(session, await health.record_failures(session, channels, utc_now()))
            for outcome in {outcome for _, outcome in unreachable}:
                ids = [row.id for row, o in unreachable if o is outcome]
                await ledger.mark_unreachable(session, ids, self._lease_token, outcome)
        failed = states.count(DeliveryState.FAILED)
        self._report.delivered += delivered
        self._report.failed += failed
        self._report.pending += len(states) - failed + len(unreachable)

    async def _write_sent(self, session: AsyncSession, sent: list[SendRecord]) -> int:
        if not sent:
            return 0
        now = utc_now()
        ids = [mark.row.id for mark in sent]
        marked = await ledger.mark_sent(session, ids, self._lease_token, now)
        used = {mark.channel.integration_id for mark in sent if mark.channel}
        if used:
            await health.record_success(session, used, now)
        log.info("deliveries sent", rows=len(ids), notification_id=sent[0].row.notification_id)
        return marked

    async def _write_not_sent(self, session: AsyncSession, mark: SendRecord) -> DeliveryState:
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
