"""SQL of reminders and remind-mes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.db.sql import id_list
from soonish.reminders.models import Reminder, RemindMe
from soonish.reminders.plan import Changes, Existing, Wanted
from soonish.subscriptions.models import ACTIVE, Subscription


async def lock_rows(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[Existing]:
    """The reminders that meet the conditions, locked, so that none is deleted under a plan."""
    columns = (
        Reminder.id,
        Reminder.schedule_id,
        Reminder.anchor_at,
        Reminder.offset_seconds,
        Reminder.every_seconds,
        Reminder.removed_at,
    )
    query = select(*columns).where(*conditions).order_by(Reminder.id).with_for_update()
    return [Existing(*row) for row in await session.execute(query)]


async def apply(session: AsyncSession, event_id: int, changes: Changes, now: datetime) -> None:
    """Write the changes, one statement each for what is made, moved and removed."""
    if changes.make:
        rows = [{"event_id": event_id, **_values(one)} for one in changes.make]
        await session.execute(insert(Reminder), rows)
    if changes.move:
        again = dict.fromkeys(("armed_at", "fired_at", "expired_at", "removed_at"))
        moved = [{"id": row, **_values(one), **again} for row, one in changes.move.items()]
        await session.execute(update(Reminder), moved)
    if changes.remove:
        await mark_removed(session, Reminder.id.in_(id_list(session, changes.remove)), now=now)


def _values(wanted: Wanted) -> dict[str, Any]:
    return {
        "subscription_id": wanted.subscription_id,
        "schedule_id": wanted.schedule_id,
        "anchor": wanted.anchor,
        "offset_seconds": wanted.offset_seconds,
        "every_seconds": wanted.every_seconds,
        "anchor_at": wanted.anchor_at,
        "due_at": wanted.due_at,
    }


async def mark_removed(
    session: AsyncSession, *conditions: ColumnElement[bool], now: datetime
) -> None:
    """Mark the reminders as no longer wanted."""
    query = (
        update(Reminder)
        .where(*conditions, Reminder.removed_at.is_(None))
        .values(removed_at=now)
        .execution_options(synchronize_session=False)
    )
    await session.execute(query)


async def with_own_reminders(session: AsyncSession, event_id: int) -> Sequence[Subscription]:
    """The event's active subscriptions that chose reminders of their own."""
    chosen = or_(
        Subscription.reminder_offsets.is_not(None),
        Subscription.end_reminder_offsets.is_not(None),
        Subscription.countdown_every_seconds.is_not(None),
    )
    query = select(Subscription).where(
        Subscription.event_id == event_id,
        Subscription.ended_at.is_(None),
        Subscription.status == ACTIVE,
        chosen,
    )
    return (await session.scalars(query)).all()


def is_waiting() -> ColumnElement[bool]:
    """Neither sent nor cancelled."""
    return RemindMe.fired_at.is_(None) & RemindMe.cancelled_at.is_(None)


async def waiting_remind_mes(
    session: AsyncSession, subscription_id: int, limit: int, after: tuple[datetime, int] | None
) -> Sequence[RemindMe]:
    """Remind-mes to come, soonest first, later than `after` (instant, id)."""
    query = select(RemindMe).where(RemindMe.subscription_id == subscription_id, is_waiting())
    if after is not None:
        at, row_id = after
        query = query.where((RemindMe.at > at) | ((RemindMe.at == at) & (RemindMe.id > row_id)))
    return (await session.scalars(query.order_by(RemindMe.at, RemindMe.id).limit(limit))).all()


async def cancel_remind_mes(
    session: AsyncSession, *conditions: ColumnElement[bool], now: datetime
) -> Sequence[int]:
    """Cancel those that wait and meet the conditions; their ids."""
    query = (
        update(RemindMe)
        .where(*conditions, is_waiting())
        .values(cancelled_at=now)
        .returning(RemindMe.id)
        .execution_options(synchronize_session=False)
    )
    return (await session.scalars(query)).all()
