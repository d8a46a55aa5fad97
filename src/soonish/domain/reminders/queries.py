"""SQL of reminders and remind-mes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger.routing import is_active
from soonish.domain.reminders.plan import Changes, Existing, PlannedReminder, ReminderChoice
from soonish.infra.db.models.reminders import Reminder, RemindMe
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.sql import id_list

_SHOWN_REMINDERS = 200


async def lock_rows(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[Existing]:
    """Lock and return the matching reminders, so that none is deleted during planning."""
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
    """Write the changes: one statement to create, one to remove, and one per moved offset."""
    if changes.make:
        rows = [{"event_id": event_id, **_values(one)} for one in changes.make]
        await session.execute(insert(Reminder), rows)
    for values, ids in _grouped(changes.move):
        query = update(Reminder).where(Reminder.id.in_(id_list(session, ids)))
        again = dict.fromkeys(("armed_at", "fired_at", "expired_at", "removed_at"))
        await session.execute(
            query.values(**values, **again).execution_options(synchronize_session=False)
        )
    if changes.remove:
        await mark_removed(session, Reminder.id.in_(id_list(session, changes.remove)), now=now)


def _grouped(moved: dict[int, PlannedReminder]) -> list[tuple[dict[str, Any], list[int]]]:
    """Group moved rows by their new values: one group per offset, not per row."""
    groups: dict[PlannedReminder, list[int]] = {}
    for row_id, one in moved.items():
        groups.setdefault(one._replace(schedule_id="", subscription_id=None), []).append(row_id)
    return [(_times(one), ids) for one, ids in groups.items()]


def _values(wanted: PlannedReminder) -> dict[str, Any]:
    identity = {"subscription_id": wanted.subscription_id, "schedule_id": wanted.schedule_id}
    return identity | _times(wanted)


def _times(wanted: PlannedReminder) -> dict[str, Any]:
    return {
        "anchor": wanted.anchor,
        "offset_seconds": wanted.offset_seconds,
        "every_seconds": wanted.every_seconds,
        "anchor_at": wanted.anchor_at,
        "due_at": wanted.due_at,
    }


async def mark_removed(
    session: AsyncSession, *conditions: ColumnElement[bool], now: datetime
) -> None:
    """Mark the reminders as removed."""
    query = (
        update(Reminder)
        .where(*conditions, Reminder.removed_at.is_(None))
        .values(removed_at=now)
        .execution_options(synchronize_session=False)
    )
    await session.execute(query)


async def with_own_reminders(session: AsyncSession, event_id: int) -> list[ReminderChoice]:
    """Return the choices of active subscriptions with personal reminders."""
    chosen = or_(
        Subscription.reminder_offsets.is_not(None),
        Subscription.end_reminder_offsets.is_not(None),
        Subscription.countdown_every_seconds.is_not(None),
    )
    columns = [getattr(Subscription, name) for name in ReminderChoice._fields]
    query = select(*columns).where(
        Subscription.event_id == event_id,
        is_active(),
        chosen,
    )
    return [ReminderChoice(*row) for row in await session.execute(query)]


def is_waiting() -> ColumnElement[bool]:
    """Return the condition for remind-mes neither sent nor cancelled."""
    return RemindMe.fired_at.is_(None) & RemindMe.cancelled_at.is_(None)


async def waiting_remind_mes(
    session: AsyncSession, subscription_id: int, limit: int, after: tuple[datetime, int] | None
) -> Sequence[RemindMe]:
    """Return pending remind-mes after `after` (instant, id), soonest first."""
    query = select(RemindMe).where(RemindMe.subscription_id == subscription_id, is_waiting())
    if after is not None:
        at, row_id = after
        query = query.where((RemindMe.at > at) | ((RemindMe.at == at) & (RemindMe.id > row_id)))
    return (await session.scalars(query.order_by(RemindMe.at, RemindMe.id).limit(limit))).all()


async def cancel_remind_mes(
    session: AsyncSession, *conditions: ColumnElement[bool], now: datetime
) -> Sequence[int]:
    """Cancel the matching pending remind-mes; return their ids."""
    query = (
        update(RemindMe)
        .where(*conditions, is_waiting())
        .values(cancelled_at=now)
        .returning(RemindMe.id)
        .execution_options(synchronize_session=False)
    )
    return (await session.scalars(query)).all()


def is_unsynced(event_id: int) -> ColumnElement[bool]:
    """Match the event's reminders that differ from Temporal's schedules."""
    unarmed = and_(
        Reminder.armed_at.is_(None), Reminder.fired_at.is_(None), Reminder.expired_at.is_(None)
    )
    return and_(Reminder.event_id == event_id, or_(unarmed, Reminder.removed_at.is_not(None)))


async def reminders_to_come(session: AsyncSession, event_id: int) -> list[Reminder]:
    """Return up to 200 of the event's unfired reminders: defaults first, then by instant."""
    query = (
        select(Reminder)
        .where(Reminder.event_id == event_id, *_is_to_come())
        .order_by(Reminder.subscription_id.is_not(None), Reminder.due_at, Reminder.id)
        .limit(_SHOWN_REMINDERS)
    )
    return list(await session.scalars(query))


async def default_reminders_to_come(session: AsyncSession, event_id: int) -> list[Reminder]:
    """Return the event's unfired default reminders, by instant."""
    coming = await reminders_to_come(session, event_id)
    return [row for row in coming if row.subscription_id is None]


@dataclass(frozen=True)
class PersonalReminders:
    """Counts of pending personal reminders and their subscribers, and when the next one is due."""

    reminders: int
    people: int
    next_at: datetime | None


async def personal_reminders(session: AsyncSession, event_id: int) -> PersonalReminders:
    people = func.count(Reminder.subscription_id.distinct())
    query = select(func.count(), people, func.min(Reminder.due_at)).where(
        Reminder.event_id == event_id, Reminder.subscription_id.is_not(None), *_is_to_come()
    )
    return PersonalReminders(*(await session.execute(query)).one())


async def missed_reminders(session: AsyncSession, event_id: int, limit: int) -> list[Reminder]:
    """Return the event's reminders that expired unsent, newest first."""
    query = select(Reminder).where(
        Reminder.event_id == event_id,
        Reminder.removed_at.is_(None),
        Reminder.expired_at.is_not(None),
    )
    return list(await session.scalars(query.order_by(Reminder.due_at.desc()).limit(limit)))


def _is_to_come() -> Sequence[ColumnElement[bool]]:
    return (
        Reminder.removed_at.is_(None),
        Reminder.fired_at.is_(None),
        Reminder.expired_at.is_(None),
    )
