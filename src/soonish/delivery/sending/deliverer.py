"""Send a notification's ledger rows: claim, check, send, mark and 8).

See docs/architecture.md#workflows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog

from soonish.config import Settings
from soonish.delivery.channels import health
from soonish.delivery.channels.circuit import Permit
from soonish.delivery.channels.pacing import Rates
from soonish.delivery.ledger import completion, ledger
from soonish.delivery.ledger.ledger import Claimed
from soonish.delivery.ledger.routing import MAIL
from soonish.delivery.sending import recipients
from soonish.delivery.sending.in_flight import InFlight, SlowSends
from soonish.delivery.sending.messages import MessageBuilder
from soonish.delivery.sending.recipients import ChannelTarget, MailTarget
from soonish.delivery.sending.results import ResultWriter
from soonish.delivery.transports.mail.service import ServiceMail
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.delivery.transports.sender import NOT_STARTED, Sender
from soonish.errors import InvalidInput
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.kit.rates import Rate
from soonish.workflow_types import DeliveryReport

LANES = 3  # while one sub-batch is sent, the next is claimed and the last one marked
CHUNK = 50  # rows checked with one query just before they are sent
MAX_CHECK_AGE_SECONDS = 3.0
UNRESTRICTED = Permit(granted=True)
_GONE = SendResult(Outcome.INVALID_TARGET, "there is no address any more")
_NOT_WRITTEN = SendResult(Outcome.UNKNOWN, "the mail could not be written")
log = structlog.get_logger(__name__)


@dataclass
class Run:
    """One activity attempt's work on one notification."""

    notification_id: int
    lease_token: str
    previous: list[str]
    stopping: Callable[[], bool]
    builder: MessageBuilder
    results: ResultWriter
    sends: InFlight


@dataclass
class Deliverer:
    """Delivers for one process; holds its senders."""

    db: Database
    settings: Settings
    sender: Sender
    mailer: ServiceMail
    slow_sends: SlowSends = field(default_factory=SlowSends)

    def __post_init__(self) -> None:
        self._rates = Rates(self.settings.channel_rates)

    async def run(
        self,
        notification_id: int,
        owner: str,
        attempt: int,
        stopping: Callable[[], bool],
        *,
        expected: int = 0,
    ) -> DeliveryReport:
        """Send until nothing is claimable or `stopping()`; return counts of rows.

        It does not wait for slow sends: their rows stay claimed and are marked later. `owner` is
        the same for every attempt of one activity, and `attempt` counts from 1: rows claimed by an
        earlier attempt are taken over at once. `expected` is the number of rows to send, 0 if
        unknown.
        """
        report = DeliveryReport()
        builder = await self._message_builder(notification_id)
        if builder is None:
            return report
        lease_token = f"{owner}:{attempt}"
        previous = [f"{owner}:{n}" for n in range(max(1, attempt - 10), attempt)]
        async with AsyncExitStack() as ending:
            results = await ending.enter_async_context(ResultWriter(self.db, lease_token, report))
            sends = await ending.enter_async_context(InFlight())
            run = Run(notification_id, lease_token, previous, stopping, builder, results, sends)
            lanes = 1 if 0 < expected <= CHUNK else LANES
            await _run_all(self._lane(run) for _ in range(lanes))
            if await sends.has_stragglers() and not stopping():
                await results.flush()
                self.slow_sends.keep(sends, ending.pop_all())
        return report

    async def _message_builder(self, notification_id: int) -> MessageBuilder | None:
        async with self.db.read() as session:
            notification = await session.get(Notification, notification_id)
            if notification is None:
                return None
            return await MessageBuilder.load(session, notification, self.settings)

    async def _lane(self, run: Run) -> None:
        rows: list[Claimed] = []
        while not run.stopping():
            was_full = len(rows) == self.settings.delivery_batch_size
            rows = await self._claim(run) if was_full else await self._look_and_claim(run)
            if not rows:
                return
            for start in range(0, len(rows), CHUNK):
                chunk = rows[start : start + CHUNK]
                if run.stopping():
                    await self._release(run, chunk)
                else:
                    await self._send_chunk(run, chunk)

    async def _look_and_claim(self, run: Run) -> list[Claimed]:
        async with self.db.read() as session:
            now = utc_now()
            if not await completion.has_claimable(session, run.notification_id, run.previous, now):
                return []
        return await self._claim(run)

    async def _claim(self, run: Run) -> list[Claimed]:
        async with self.db.write() as session:
            return await ledger.claim(
                session,
                run.notification_id,
                run.lease_token,
                previous=run.previous,
                limit=self.settings.delivery_batch_size,
                now=utc_now(),
            )

    async def _release(self, run: Run, rows: Sequence[Claimed]) -> None:
        async with self.db.write() as session:
            ids = [row.id for row in rows]
            await ledger.release(session, ids, run.lease_token, utc_now())

    async def _send_chunk(self, run: Run, chunk: Sequence[Claimed]) -> None:
        """Send rows that may still be sent, and return the others to the ledger."""
        by_mail = [row for row in chunk if row.target_key == MAIL]
        by_channel = [row for row in chunk if row.target_key != MAIL]
        async with self.db.connect() as on:
            now = utc_now()
            mail_targets = await recipients.load_mail_targets(on, by_mail, run.lease_token, now)
            channels = await recipients.load_channel_targets(on, by_channel, run.lease_token, now)
        others = [row for row in chunk if row.id not in mail_targets and row.id not in channels]
        if others:
            await self._release(run, others)
        permits = await self._acquire_permits(run, channels)
        to_channels = self._start_sends(run, by_channel, channels, permits)
        good = [row for row in by_mail if row.id in mail_targets]
        await _run_all(
            [self._send_mails(run, good, mail_targets), run.sends.wait_for_most(to_channels)]
        )

    async def _acquire_permits(
        self, run: Run, channels: dict[int, ChannelTarget | None]
    ) -> dict[int, Permit]:
        """Return permits by delivery id for channels with a rate or failures.

        Rows that get none now are postponed.
        """
        wanted = {
            row_id: (channel.integration_id, rate)
            for row_id, channel in channels.items()
            if channel and ((rate := self._rates.of(channel.kind)) or channel.needs_permit)
        }
        if not wanted:
            return {}
        now = utc_now()
        async with self.db.write() as session:
            permits = await health.acquire(session, wanted, now)
            until = {row_id: permit.until for row_id, permit in permits.items() if permit.until}
            if until:
                before = await recipients.count_waiting_before(session, until, now)
                turns = {
                    row_id: _turn_of(instant, wanted[row_id][1], before.get(row_id, 0))
                    for row_id, instant in until.items()
                }
                await ledger.postpone(session, turns, run.lease_token)
        return permits

    async def _send_mails(
        self, run: Run, rows: Sequence[Claimed], mail_targets: dict[int, MailTarget]
    ) -> None:
        if not rows:
            return
        for row in rows:
            if mail_targets[row.id].address is None:
                run.results.add(row, _GONE)
        reachable = [row for row in rows if mail_targets[row.id].address is not None]
        try:
            mails = await run.builder.mails(self.db, reachable, mail_targets)
        except InvalidInput as error:
            self._fail_unwritable(run, reachable, error)
            return
        results = await self.mailer.send_batch(mails, start_within=MAX_CHECK_AGE_SECONDS)
        for row, result in zip(reachable, results, strict=True):
            if result is not NOT_STARTED:
                run.results.add(row, result)
        late = [row for row, r in zip(reachable, results, strict=True) if r is NOT_STARTED]
        if late:
            await self._release(run, late)

    def _fail_unwritable(self, run: Run, rows: Sequence[Claimed], error: InvalidInput) -> None:
        """Mark rows that cannot be rendered as a mail as failed, since no retry would help.

        Raising the error would hold up the event's other notifications.
        """
        fields = [entry.field for entry in error.errors]
        log.error("mail_not_written", notification_id=run.notification_id, fields=fields)
        for row in rows:
            run.results.add(row, _NOT_WRITTEN)

    def _start_sends(
        self,
        run: Run,
        rows: Sequence[Claimed],
        channels: dict[int, ChannelTarget | None],
        permits: dict[int, Permit],
    ) -> list[asyncio.Future[SendResult]]:
        """Start the sends of rows that have a channel and a permit."""
        ready: list[tuple[Claimed, ChannelTarget, Permit, Message]] = []
        for row in rows:
            if row.id not in channels:
                continue
            channel, permit = channels[row.id], permits.get(row.id, UNRESTRICTED)
            if channel is None:
                run.results.add_unreachable(row, Outcome.CHANNEL_INACTIVE)
            elif permit.granted:
                ready.append((row, channel, permit, run.builder.message(row, channel.locale)))
        return [self._start_send(run, *one) for one in ready]

    def _start_send(
        self, run: Run, row: Claimed, channel: ChannelTarget, permit: Permit, message: Message
    ) -> asyncio.Future[SendResult]:
        """Start a send that records its result when it ends, without a task for each."""
        sending = self.sender.start(channel.url, message, start_within=MAX_CHECK_AGE_SECONDS)
        sending.add_done_callback(partial(self._record, run, row, channel, permit))
        return sending

    def _record(
        self,
        run: Run,
        row: Claimed,
        channel: ChannelTarget,
        permit: Permit,
        ended: asyncio.Future[SendResult],
    ) -> None:
        """Record the result; return a row that started too late, to be checked again."""
        if ended.cancelled():
            return
        if ended.result() is NOT_STARTED:
            run.sends.add(self._release(run, [row]))
        else:
            run.results.add(row, ended.result(), channel.integration_id, probe=permit.probe)


def _turn_of(until: datetime, rate: Rate | None, before: int) -> datetime:
    """Space out rows that wait for a channel with a rate, so that they do not retry at once."""
    return until if rate is None else until + rate.interval * before


async def _run_all(parts: Iterable[Coroutine[None, None, None]]) -> None:
    """Run all to the end, then raise the first error: sends of the others must still be marked."""
    results = await asyncio.gather(*parts, return_exceptions=True)
    for error in results:
        if error is not None:
            raise error
