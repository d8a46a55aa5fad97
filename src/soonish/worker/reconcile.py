"""Compare the database with Temporal and restart missing workflows.

The database is the truth. One process at a time leads, by a lease in the database.

See docs/architecture.md#reconcile.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Select, String, and_, cast, delete, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)
from temporalio.service import RPCError

from soonish.config import Settings
from soonish.delivery.ledger.routing import is_active
from soonish.domain.reminders import schedules
from soonish.infra.db import sql
from soonish.infra.db.errors import DATABASE_ERRORS, error_name
from soonish.infra.db.models.accounts import Registration, Session
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.installation import Lease
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.reminders import Reminder, RemindMe
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox.relay import Relay
from soonish.infra.temporal import RPC_TIMEOUT, Temporal
from soonish.worker import housekeeping
from soonish.workflow_types import MaintenanceInput

EVERY_SECONDS = 30.0
FOLLOW_SECONDS = 5.0  # how often the other processes check that the leader is alive
SETTLED = timedelta(seconds=60)  # broadcasts and reminders younger than this are in progress
STARTED = timedelta(seconds=5)  # the relay still starts the workflows of younger rows
HOUSEKEEPING_EVERY = timedelta(minutes=1)
MAINTENANCE_ID = "soonish-maintenance"  # of the schedule of MaintenanceWorkflow
MAINTENANCE_EVERY = timedelta(hours=6)
LEASE = timedelta(seconds=45)
LEASE_NAME = "reconcile"
_NAME = Lease.name == LEASE_NAME
PARALLEL = 20
log = structlog.get_logger()


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass
class Reconcile:
    db: Database
    temporal: Temporal
    relay: Relay
    settings: Settings
    holder: str = field(default_factory=_this_process)
    _housekept_at: datetime | None = None

    async def run(self) -> None:
        """Reconcile at the start and every 30 s, until cancelled. Errors are logged and retried.

        Processes that do not lead check more often, so that they take over when the lease ends.
        """
        while True:
            led = True
            try:
                led = await self.once()
            except (*DATABASE_ERRORS, RPCError, RuntimeError) as error:
                log.warning("reconcile will try again", error=error_name(error))
            await asyncio.sleep(EVERY_SECONDS if led else FOLLOW_SECONDS)

    async def step_down(self) -> None:
        """Release the lease, if this process has it."""
        async with self.db.write() as session:
            await session.execute(delete(Lease).where(_NAME, Lease.holder == self.holder))

    async def once(self) -> bool:
        """Reconcile once if this process leads; return whether it does."""
        if not await self._acquire_lead():
            return False
        now = utc_now()
        await self._housekeep(now)
        await self._restart_events(now)
        await self._restart_missing("BroadcastWorkflow", await self._read(_notifications(now)))
        await self._restart_missing("AdhocReminderWorkflow", await self._read(_remind_mes(now)))
        await self._restart_missing(
            "UserVerificationWorkflow", await self._read(_registrations(now))
        )
        await self._restart_missing("SessionWorkflow", await self._read(_sessions(now)))
        await self._overdue_reminders(now)
        await ensure_maintenance_schedule(
            await self.temporal.client(), self.settings.workflow_queue
        )
        return True

    async def _housekeep(self, now: datetime) -> None:
        """Do the housekeeping if it is due; it comes first because it needs no Temporal."""
        if self._housekept_at is None or now - self._housekept_at >= HOUSEKEEPING_EVERY:
            await housekeeping.run(self.db, now)
            self._housekept_at = now

    async def _acquire_lead(self) -> bool:
        holder, now = self.holder, utc_now()
        others = select(Lease.holder).where(_NAME, Lease.holder != holder, Lease.until >= now)
        if await self._read(others):
            return False
        async with self.db.write() as session:
            statement = sql.insert(session, Lease).values(
                name=LEASE_NAME, holder=holder, until=now + LEASE
            )
            statement = statement.on_conflict_do_update(
                index_elements=["name"],
                set_={"holder": holder, "until": now + LEASE},
                where=(Lease.until < now) | (Lease.holder == holder),
            )
            result: Any = await session.execute(statement)
            return bool(result.rowcount)

    async def _read(self, query: Select[Any]) -> Sequence[Any]:
        async with self.db.read() as session:
            return (await session.scalars(query)).all()

    async def _running(self, workflow_type: str) -> set[str]:
        client = await self.temporal.client()
        query = f"WorkflowType = '{workflow_type}' AND ExecutionStatus = 'Running'"
        return {execution.id async for execution in client.list_workflows(query)}

    async def _restart_missing(self, workflow_type: str, wanted: Sequence[str]) -> list[str]:
        """Start those of the wanted workflows that are not running; return their ids."""
        if not wanted:
            return []
        running = await self._running(workflow_type)
        missing = [stream for stream in wanted if stream not in running]
        if missing:
            log.warning("restarting workflows", workflow_type=workflow_type, count=len(missing))
            limit = asyncio.Semaphore(PARALLEL)
            await asyncio.gather(*(self._wake(stream, limit) for stream in missing))
        return missing

    async def _wake(self, stream: str, limit: asyncio.Semaphore) -> None:
        async with limit:
            await self.relay.wake(stream)

    async def _restart_events(self, now: datetime) -> None:
        """Restart missing workflows of live events, whose schedules may be lost as well."""
        wanted = await self._read(_live_events(now))
        running = await self._running("EventWorkflow") if wanted else set[str]()
        missing = [stream for stream in wanted if stream not in running]
        if not missing:
            return
        for start in range(0, len(missing), 200):
            async with self.db.write() as session:
                await _disarm(session, missing[start : start + 200])
        log.warning("restarting workflows", workflow_type="EventWorkflow", count=len(missing))
        limit = asyncio.Semaphore(PARALLEL)
        await asyncio.gather(*(self._wake(stream, limit) for stream in missing))

    async def _overdue_reminders(self, now: datetime) -> None:
        """Start reminders that should have fired a minute ago, or expire them if it is too late."""
        overdue = await self._read(
            select(Reminder)
            .where(
                Reminder.due_at < now - SETTLED,
                Reminder.fired_at.is_(None),
                Reminder.expired_at.is_(None),
                Reminder.removed_at.is_(None),
            )
            .limit(500)
        )
        client = await self.temporal.client() if overdue else None
        for reminder in overdue:
            if reminder.anchor_at > now and client:
                await schedules.start_now(client, reminder, self.settings.workflow_queue)
        await self._expire([r.id for r in overdue if r.anchor_at <= now], now)

    async def _expire(self, ids: Sequence[int], now: datetime) -> None:
        if not ids:
            return
        log.warning("reminders were missed and have expired", count=len(ids))
        async with self.db.write() as session:
            await session.execute(
                update(Reminder)
                .where(Reminder.id.in_(sql.id_list(session, ids)), Reminder.fired_at.is_(None))
                .values(expired_at=now)
            )


async def ensure_maintenance_schedule(client: Client, task_queue: str) -> None:
    """Create the schedule of MaintenanceWorkflow if it is missing; its first run starts at once."""
    made = Schedule(
        action=ScheduleActionStartWorkflow(
            "MaintenanceWorkflow", MaintenanceInput(), id=MAINTENANCE_ID, task_queue=task_queue
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=MAINTENANCE_EVERY)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=MAINTENANCE_EVERY),
    )
    try:
        await client.create_schedule(
            MAINTENANCE_ID, made, trigger_immediately=True, rpc_timeout=RPC_TIMEOUT
        )
    except ScheduleAlreadyRunningError:
        return


async def _disarm(session: AsyncSession, workflow_ids: Sequence[str]) -> None:
    """Have `sync_reminders` create the schedules of these events again."""
    events = select(Event.id).where(Event.temporal_workflow_id.in_(workflow_ids))
    await session.execute(
        update(Reminder)
        .where(Reminder.event_id.in_(events), Reminder.fired_at.is_(None))
        .values(armed_at=None)
    )


def _live_events(now: datetime) -> Select[Any]:
    return select(Event.temporal_workflow_id).where(
        Event.completed_at.is_(None), Event.created_at < now - STARTED
    )


def _notifications(now: datetime) -> Select[Any]:
    return select(literal("notification-") + cast(Notification.id, String)).where(
        Notification.completed_at.is_(None), Notification.expanded_at < now - SETTLED
    )


def _remind_mes(now: datetime) -> Select[Any]:
    return (
        select(literal("remind-me-") + cast(RemindMe.id, String))
        .join(Subscription, Subscription.id == RemindMe.subscription_id)
        .join(Event, Event.id == Subscription.event_id)
        .where(
            RemindMe.fired_at.is_(None),
            RemindMe.cancelled_at.is_(None),
            RemindMe.created_at < now - STARTED,
            Event.cancelled_at.is_(None),
            is_active(),
        )
    )


def _registrations(now: datetime) -> Select[Any]:
    return select(Registration.workflow_id).where(
        Registration.completed_at.is_(None),
        Registration.created_at < now - STARTED,
    )


def _sessions(now: datetime) -> Select[Any]:
    return select(literal("session-") + cast(Session.id, String)).where(
        and_(Session.ended_at.is_(None), Session.created_at < now - STARTED)
    )
