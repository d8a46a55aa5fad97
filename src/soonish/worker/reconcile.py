"""Reconcile: compares the database with Temporal and restarts what is missing.

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
from temporalio.service import RPCError

from soonish.config import Settings
from soonish.delivery.ledger.routing import is_active
from soonish.domain.reminders import schedules
from soonish.infra.db import sql
from soonish.infra.db.errors import DATABASE_ERRORS, name_of
from soonish.infra.db.models.accounts import Registration, Session
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.installation import Lease
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.reminders import Reminder, RemindMe
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox.relay import Relay
from soonish.infra.temporal import Temporal
from soonish.worker import housekeeping, maintenance_schedule
from soonish.worker import housekeeping as subscriptions

EVERY_SECONDS = 30.0
FOLLOW_SECONDS = 5.0  # how often the others look whether the leader is still there
SETTLED = timedelta(seconds=60)  # broadcasts and reminders younger than this are under way
STARTED = timedelta(seconds=5)  # younger rows' workflows are still the relay's to start
MAINTENANCE = timedelta(minutes=1)
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
    _maintained_at: datetime | None = None

    async def run(self) -> None:
        """At start and every 30 s, until cancelled; an error is logged and the next turn tries.

        Who does not lead looks more often, so that a leader's death costs no more than its lease.
        """
        while True:
            led = True
            try:
                led = await self.once()
            except (*DATABASE_ERRORS, RPCError, RuntimeError) as error:
                log.warning("reconcile will try again", error=name_of(error))
            await asyncio.sleep(EVERY_SECONDS if led else FOLLOW_SECONDS)

    async def resign(self) -> None:
        """Leave the lead to whoever starts next; nothing happens where another has it."""
        async with self.db.write() as session:
            await session.execute(delete(Lease).where(_NAME, Lease.holder == self.holder))

    async def once(self) -> bool:
        """One comparison, if this process leads; whether it did."""
        if not await self._lead():
            return False
        now = utc_now()
        await self._maintain(now)
        await self._events(now)
        await self._streams("BroadcastWorkflow", await self._read(_notifications(now)))
        await self._streams("AdhocReminderWorkflow", await self._read(_remind_mes(now)))
        await self._streams("UserVerificationWorkflow", await self._read(_registrations(now)))
        await self._streams("SessionWorkflow", await self._read(_sessions(now)))
        await self._overdue_reminders(now)
        await maintenance_schedule.ensure(
            await self.temporal.client(), self.settings.workflow_queue
        )
        return True

    async def _maintain(self, now: datetime) -> None:
        """First, because it needs no Temporal."""
        if self._maintained_at is None or now - self._maintained_at >= MAINTENANCE:
            await housekeeping.run(self.db, now)
            await subscriptions.run(self.db, now)
            self._maintained_at = now

    async def _lead(self) -> bool:
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

    async def _streams(self, workflow_type: str, wanted: Sequence[str]) -> list[str]:
        """Wake those of the wanted workflows that do not run; which they were."""
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

    async def _events(self, now: datetime) -> None:
        """Live events without a workflow: Temporal may have lost their schedules too."""
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
        """What should have fired a minute ago: started if it still helps, else put down."""
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


async def _disarm(session: AsyncSession, workflow_ids: Sequence[str]) -> None:
    """Let `sync_reminders` make the schedules of these events again."""
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
