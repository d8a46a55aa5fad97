"""Sending what a notification's ledger rows ask for: claim, check, send, mark.

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
from soonish.delivery.sending.marks import Marks
from soonish.delivery.sending.messages import Outgoing
from soonish.delivery.sending.recipients import ChannelTarget, MailTarget
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
CHUNK = 50  # rows that are checked with one query just before they are sent
MAX_CHECK_AGE_SECONDS = 3.0
FREE = Permit(granted=True)
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
    outgoing: Outgoing
    marks: Marks
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
        """Send until nothing is claimable or `stopping()`; what was done, in rows.

        Sends that take long are not waited for: their rows stay claimed and are marked later.
        `owner` is the same for every attempt of one activity, `attempt` counts from 1: rows that
        an earlier attempt had claimed are taken over at once. `expected` is how many rows there
        are to send, 0 where nobody knows.
        """
        report = DeliveryReport()
        outgoing = await self._outgoing(notification_id)
        if outgoing is None:
            return report
        lease_token = f"{owner}:{attempt}"
        previous = [f"{owner}:{n}" for n in range(max(1, attempt - 10), attempt)]
        async with AsyncExitStack() as ending:
            marks = await ending.enter_async_context(Marks(self.db, lease_token, report))
            sends = await ending.enter_async_context(InFlight())
            run = Run(notification_id, lease_token, previous, stopping, outgoing, marks, sends)
            lanes = 1 if 0 < expected <= CHUNK else LANES
            await _all_ended(self._lane(run) for _ in range(lanes))
            if await sends.are_slow() and not stopping():
                await marks.written()
                self.slow_sends.keep(sends, ending.pop_all())
        return report

    async def _outgoing(self, notification_id: int) -> Outgoing | None:
        async with self.db.read() as session:
            notification = await session.get(Notification, notification_id)
            if notification is None:
                return None
            return await Outgoing.load(session, notification, self.settings)

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
        """Send what may still be sent; the other rows are given back to be settled."""
        by_mail = [row for row in chunk if row.target_key == MAIL]
        by_channel = [row for row in chunk if row.target_key != MAIL]
        async with self.db.look() as on:
            now = utc_now()
            mailboxes = await recipients.ready_mailboxes(on, by_mail, run.lease_token, now)
            channels = await recipients.ready_channels(on, by_channel, run.lease_token, now)
        others = [row for row in chunk if row.id not in mailboxes and row.id not in channels]
        if others:
            await self._release(run, others)
        leaves = await self._ask_for_leave(run, channels)
        to_channels = self._start_sends(run, by_channel, channels, leaves)
        good = [row for row in by_mail if row.id in mailboxes]
        await _all_ended([self._send_mails(run, good, mailboxes), run.sends.mostly(to_channels)])

    async def _ask_for_leave(
        self, run: Run, channels: dict[int, ChannelTarget | None]
    ) -> dict[int, Permit]:
        """By delivery id, for channels with a rate or trouble; who may not go now is put off."""
        wanted = {
            row_id: (channel.integration_id, rate)
            for row_id, channel in channels.items()
            if channel and ((rate := self._rates.of(channel.kind)) or channel.is_held)
        }
        if not wanted:
            return {}
        now = utc_now()
        async with self.db.write() as session:
            leaves = await health.acquire(session, wanted, now)
            until = {row_id: leave.until for row_id, leave in leaves.items() if leave.until}
            if until:
                before = await recipients.waiting_before(session, until, now)
                turns = {
                    row_id: _turn(instant, wanted[row_id][1], before.get(row_id, 0))
                    for row_id, instant in until.items()
                }
                await ledger.postpone(session, turns, run.lease_token)
        return leaves

    async def _send_mails(
        self, run: Run, rows: Sequence[Claimed], mailboxes: dict[int, MailTarget]
    ) -> None:
        if not rows:
            return
        for row in rows:
            if mailboxes[row.id].address is None:
                run.marks.add(row, _GONE)
        reachable = [row for row in rows if mailboxes[row.id].address is not None]
        try:
            mails = await run.outgoing.mails(self.db, reachable, mailboxes)
        except InvalidInput as error:
            self._give_up(run, reachable, error)
            return
        results = await self.mailer.send_batch(mails, start_within=MAX_CHECK_AGE_SECONDS)
        for row, result in zip(reachable, results, strict=True):
            if result is not NOT_STARTED:
                run.marks.add(row, result)
        late = [row for row, r in zip(reachable, results, strict=True) if r is NOT_STARTED]
        if late:
            await self._release(run, late)

    def _give_up(self, run: Run, rows: Sequence[Claimed], error: InvalidInput) -> None:
        """What cannot be written as a mail never will be: failed for all to see, not retried.

        An error here would hold up everything else that the event has to say.
        """
        fields = [entry.field for entry in error.errors]
        log.error("mail_not_written", notification_id=run.notification_id, fields=fields)
        for row in rows:
            run.marks.add(row, _NOT_WRITTEN)

    def _start_sends(
        self,
        run: Run,
        rows: Sequence[Claimed],
        channels: dict[int, ChannelTarget | None],
        leaves: dict[int, Permit],
    ) -> list[asyncio.Future[SendResult]]:
        """The sends of those rows that have a channel and leave."""
        ready: list[tuple[Claimed, ChannelTarget, Permit, Message]] = []
        for row in rows:
            if row.id not in channels:
                continue
            channel, leave = channels[row.id], leaves.get(row.id, FREE)
            if channel is None:
                run.marks.unreachable(row, Outcome.CHANNEL_INACTIVE)
            elif leave.granted:
                ready.append((row, channel, leave, run.outgoing.message(row, channel.locale)))
        return [self._start_send(run, *one) for one in ready]

    def _start_send(
        self, run: Run, row: Claimed, channel: ChannelTarget, leave: Permit, message: Message
    ) -> asyncio.Future[SendResult]:
        """A send that marks its row when it ends. No task each: there are thousands."""
        sending = self.sender.start(channel.url, message, start_within=MAX_CHECK_AGE_SECONDS)
        sending.add_done_callback(partial(self._note, run, row, channel, leave))
        return sending

    def _note(
        self,
        run: Run,
        row: Claimed,
        channel: ChannelTarget,
        leave: Permit,
        ended: asyncio.Future[SendResult],
    ) -> None:
        """Mark the row; one whose turn came too late is given back to be checked again."""
        if ended.cancelled():
            return
        if ended.result() is NOT_STARTED:
            run.sends.add(self._release(run, [row]))
        else:
            run.marks.add(row, ended.result(), channel.integration_id, probe=leave.probe)


def _turn(until: datetime, rate: Rate | None, before: int) -> datetime:
    """Rows that wait for a slow channel queue up, so that they do not all ask again at once."""
    return until if rate is None else until + rate.interval * before


async def _all_ended(parts: Iterable[Coroutine[None, None, None]]) -> None:
    """Let all end before one's error is raised: what the others sent must still be marked."""
    results = await asyncio.gather(*parts, return_exceptions=True)
    for error in results:
        if error is not None:
            raise error
