"""Activities of reminders: sync their schedules, and fire them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.service import RPCError, RPCStatusCode

from soonish.config import Settings
from soonish.delivery.ledger import completion
from soonish.domain.reminders import firing, queries, schedules
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams
from soonish.infra.temporal import Temporal
from soonish.kit.schemas import as_z
from soonish.worker.activities.broadcasts import BroadcastActivities
from soonish.worker.workflows.passes import LARGE
from soonish.workflow_types import (
    BroadcastState,
    DeliverInput,
    EventRef,
    FiredReminder,
    ReminderInput,
    RemindMePlan,
    RemindMeWork,
)

AT_ONCE = 200  # schedules that one call of sync_reminders creates, moves or deletes
PARALLEL = 20
log = structlog.get_logger()


@dataclass
class ScheduleActivities:
    db: Database
    settings: Settings
    temporal: Temporal

    @activity.defn
    async def sync_reminders(self, work: EventRef) -> int:
        """Make Temporal's schedules match the event's rows; return how many may be left."""
        async with self.db.read() as session:
            query = select(Reminder).where(queries.is_unsynced(work.event_id))
            rows = (await session.scalars(query.order_by(Reminder.due_at).limit(AT_ONCE))).all()
        if not rows:
            return 0
        await self._in_parallel([row for row in rows if row.removed_at], self._delete)
        await self._in_parallel([row for row in rows if not row.removed_at], self._arm)
        async with self.db.write() as session:
            await _mark_synced(session, rows)
        return len(rows) if len(rows) == AT_ONCE else 0

    async def _in_parallel(
        self, rows: Sequence[Reminder], do: Callable[[Reminder], Awaitable[None]]
    ) -> None:
        limit = asyncio.Semaphore(PARALLEL)

        async def one(row: Reminder) -> None:
            async with limit:
                await do(row)

        await asyncio.gather(*(one(row) for row in rows))

    async def _arm(self, row: Reminder) -> None:
        client = await self.temporal.client()
        try:
            await schedules.arm(client, row, self.settings.workflow_queue, utc_now())
        except RPCError as error:
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
            # A retry would hold up the event's workflow; reconcile starts the reminder when due.
            log.exception("Temporal refuses a reminder", schedule_id=row.schedule_id)
        else:
            log.info("reminder armed", schedule_id=row.schedule_id, due_at=as_z(row.due_at))

    async def _delete(self, row: Reminder) -> None:
        await schedules.delete(await self.temporal.client(), row.schedule_id)
        log.info("reminder withdrawn", schedule_id=row.schedule_id)


@dataclass
class ReminderActivities:
    db: Database
    broadcasts: BroadcastActivities

    @activity.defn
    async def fire_reminder(self, work: ReminderInput) -> FiredReminder:
        """Write the reminder's notification and ledger rows, and send it if they are few.

        If it is slightly too early, wait. If it is much too early, do nothing: the schedule was
        moved in this very second and fires again; if not, reconcile starts overdue reminders.
        """
        while True:
            try:
                return await self._fire(lambda session: firing.fire(session, work, utc_now()))
            except firing.TooEarly as early:
                if early.left > firing.AHEAD:
                    return FiredReminder(None)
                await asyncio.sleep(early.left.total_seconds())

    @activity.defn
    async def load_remind_me(self, work: RemindMeWork) -> RemindMePlan:
        """Return whether the remind-me is still wanted, and when."""
        async with self.db.write() as session:
            await outbox.finish(session, streams.remind_me(work.remind_me_id))
            remind_me, _, _ = await firing.remind_me_state(session, work.remind_me_id)
            if remind_me is None:
                return RemindMePlan(alive=False, at="")
            return RemindMePlan(alive=True, at=as_z(remind_me.at))

    @activity.defn
    async def fire_remind_me(self, work: RemindMeWork) -> FiredReminder:
        """Write the remind-me's notification and ledger rows, and send it."""
        this = work.remind_me_id
        return await self._fire(lambda session: firing.fire_remind_me(session, this, utc_now()))

    async def _fire(self, write: Callable[[AsyncSession], Awaitable[int | None]]) -> FiredReminder:
        """Write and send in one activity instead of three: a thousand may be due in one second."""
        async with self.db.write() as session:
            notification_id = await write(session)
            if notification_id is None:
                return FiredReminder(None)
            ready = await completion.count_claimable(session, notification_id, utc_now())
        if ready > LARGE:
            return FiredReminder(notification_id, state=BroadcastState(False, ready, None))
        first = await self.broadcasts.deliver(DeliverInput(notification_id, ready))
        return FiredReminder(notification_id, first.report, first.state)


async def _mark_synced(session: AsyncSession, rows: Sequence[Reminder]) -> None:
    """Mark unchanged rows as synced; a row that was moved meanwhile stays unarmed."""
    now = utc_now()
    for row in rows:
        same = await session.get(Reminder, row.id, with_for_update=True)
        if same is None or same.due_at != row.due_at or same.anchor_at != row.anchor_at:
            continue
        if row.removed_at and same.removed_at:
            await session.execute(sql_delete(Reminder).where(Reminder.id == row.id))
        elif not row.removed_at and not same.removed_at:
            same.armed_at = now
