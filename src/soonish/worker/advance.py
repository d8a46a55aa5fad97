"""Process an event's outbox rows in one transaction (docs/architecture.md#outbox).

`Advance` is the only consumer of an event's stream: it takes up to 500 undone rows in id order,
writes the notifications and ledger rows that they request, and marks them done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import structlog
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.delivery.ledger import completion
from soonish.delivery.ledger.completion import complete_idle
from soonish.delivery.ledger.routing import is_active
from soonish.domain.events.queries import status_of
from soonish.domain.reminders import queries
from soonish.domain.reminders import service as reminders
from soonish.errors import InvalidInput, SoonishError
from soonish.infra.db.errors import is_transient
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.outbox import service as outbox
from soonish.kit.schemas import as_z
from soonish.worker import announcements
from soonish.workflow_types import EventPlan, HandItem

MAX_EXPANDED = 50_000  # no write transaction of SQLite over half a second
log = structlog.get_logger()
Handler = Callable[[AsyncSession, Event, Sequence[dict[str, Any]], datetime], Awaitable[None]]


@dataclass
class Advance:
    """One run; the session is the caller's transaction."""

    session: AsyncSession
    event: Event
    settings: Settings
    now: datetime

    async def run(self, by_hand: Sequence[HandItem]) -> EventPlan:
        """Process undone rows and signals sent by hand; return what the workflow does next."""
        await announcements.created(self.session, self.event, self.now)
        for item in by_hand:
            await self._take_by_hand(item)
        rows = await outbox.undone(self.session, self.event.temporal_workflow_id)
        # Refresh only now, so that the event is at least as new as the rows.
        await self.session.refresh(self.event)
        await self._drop_reminders()
        taken = await self._fit_one_transaction(rows)
        for kind, group in groupby(taken, key=lambda row: row.kind):
            await self._take(kind, list(group))
        await self.session.flush()
        await complete_idle(self.session, self.event.id, self.now)
        more = len(rows) == outbox.TAKE or len(taken) < len(rows)
        return await plan(self.session, self.event, self.settings, self.now, more=more)

    @property
    def grace(self) -> timedelta:
        return timedelta(days=self.settings.event_grace_days)

    async def _drop_reminders(self) -> None:
        """Remove the reminders of a cancelled or past event, but keep remind-mes of a past one."""
        if self.event.cancelled_at:
            await reminders.drop_event(self.session, self.event.id)
        elif self.event.over_at <= self.now:
            mine = Reminder.event_id == self.event.id
            await queries.mark_removed(self.session, mine, now=self.now)

    async def _fit_one_transaction(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        """Limit the rows so that they expand to MAX_EXPANDED ledger rows or fewer."""
        to_all = [n for n, row in enumerate(rows) if row.kind in announcements.TO_ALL]
        if len(to_all) < 2:
            return rows
        audience = await _count_subscribers(self.session, self.event.id)
        at_once = max(1, MAX_EXPANDED // max(1, audience))
        return rows[: to_all[at_once]] if at_once < len(to_all) else rows

    async def _take_by_hand(self, item: HandItem) -> None:
        try:
            async with self.session.begin_nested():
                await announcements.by_hand(
                    self.session, self.event, item, self.now, grace=self.grace
                )
        except SoonishError as error:
            fields = [one.field for one in error.errors] if isinstance(error, InvalidInput) else []
            refused = {"kind": item.kind, "code": error.code, "fields": fields}
            log.warning("a signal sent by hand is refused", **refused)
            await self.session.refresh(self.event)
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("a signal sent by hand cannot be done", kind=item.kind)
            await self.session.refresh(self.event)

    async def _take(self, kind: str, rows: list[OutboxRow]) -> None:
        """Process rows of one kind together, or one by one if that fails."""
        handler = announcements.HANDLERS.get(kind, announcements.only_wake)
        try:
            await self._in_savepoint(handler, rows)
        except Exception as error:
            if is_transient(error):
                raise
            await self._one_by_one(handler, rows)

    async def _one_by_one(self, handler: Handler, rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            try:
                await self._in_savepoint(handler, [row])
            except Exception as error:
                if is_transient(error):
                    raise
                row.error = f"{type(error).__name__}: see the log of this time"
                row.done_at = self.now
                log.exception("outbox row cannot be done", outbox_id=row.id, kind=row.kind)

    async def _in_savepoint(self, handler: Handler, rows: Sequence[OutboxRow]) -> None:
        async with self.session.begin_nested():
            await handler(self.session, self.event, [row.payload for row in rows], self.now)
        outbox.finish_rows(rows, self.now)


async def plan(
    session: AsyncSession, event: Event, settings: Settings, now: datetime, *, more: bool
) -> EventPlan:
    """Return what is left to do for the event, as read from the database."""
    close_at = event.over_at + timedelta(days=settings.event_grace_days)
    return EventPlan(
        exists=True,
        more=more,
        sync_reminders=await _has_unsynced_reminders(session, event),
        broadcasts=await completion.open_broadcasts(session, event.id, now),
        status=status_of(event, now),
        subscriber_count=await _count_subscribers(session, event.id),
        over_at=as_z(event.over_at),
        close_at=None if event.cancelled_at else as_z(close_at),
        reminders=await _upcoming(session, event.id),
    )


async def _has_unsynced_reminders(session: AsyncSession, event: Event) -> bool:
    query = select(Reminder.id).where(queries.is_unsynced(event.id))
    return await session.scalar(query.limit(1)) is not None


async def _upcoming(session: AsyncSession, event_id: int) -> list[dict[str, Any]]:
    """Return the next 50 reminders, for the query `get_status`."""
    query = select(Reminder).where(
        Reminder.event_id == event_id, Reminder.fired_at.is_(None), Reminder.removed_at.is_(None)
    )
    rows = (await session.scalars(query.order_by(Reminder.due_at).limit(50))).all()
    return [{"schedule_id": row.schedule_id, "at": as_z(row.due_at)} for row in rows]


async def _count_subscribers(session: AsyncSession, event_id: int) -> int:
    mine: ColumnElement[bool] = Subscription.event_id == event_id
    query = select(func.count()).select_from(Subscription).where(mine, is_active())
    return int(await session.scalar(query) or 0)
