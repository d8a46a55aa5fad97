"""The reminders of an event as its organizers see them: to come, missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.access import policy
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.reminders import START, Reminder

_SHOWN = 200


async def to_come(session: AsyncSession, event_id: int) -> list[Reminder]:
    """The event's reminders that have not fired: those for all first, then by instant; some 200."""
    query = (
        select(Reminder)
        .where(Reminder.event_id == event_id, *_to_come())
        .order_by(Reminder.subscription_id.is_not(None), Reminder.due_at, Reminder.id)
        .limit(_SHOWN)
    )
    return list(await session.scalars(query))


@dataclass(frozen=True)
class PersonalReminders:
    """How many reminders of their own subscribers wait for, of how many people, the next when."""

    reminders: int
    people: int
    next_at: datetime | None


@dataclass(frozen=True)
class ReminderOverview:
    """`coming`: those for all that have not fired, by instant; `missed`: those that came too late
    to be sent, newest first."""

    coming: list[Reminder]
    personal: PersonalReminders
    missed: list[Reminder]


async def overview(
    session: AsyncSession, event_id: int, user: User, *, most_missed: int
) -> ReminderOverview:
    """The event's reminders, for its organizers."""
    event = await policy.require_organizer(session, event_id, user)
    coming = [row for row in await to_come(session, event.id) if row.subscription_id is None]
    return ReminderOverview(
        coming, await _personal(session, event.id), await _missed(session, event.id, most_missed)
    )


async def _personal(session: AsyncSession, event_id: int) -> PersonalReminders:
    people = func.count(Reminder.subscription_id.distinct())
    query = select(func.count(), people, func.min(Reminder.due_at)).where(
        Reminder.event_id == event_id, Reminder.subscription_id.is_not(None), *_to_come()
    )
    return PersonalReminders(*(await session.execute(query)).one())


async def _missed(session: AsyncSession, event_id: int, limit: int) -> list[Reminder]:
    """The event's reminders that came too late to be sent, newest first."""
    query = select(Reminder).where(
        Reminder.event_id == event_id,
        Reminder.removed_at.is_(None),
        Reminder.expired_at.is_not(None),
    )
    return list(await session.scalars(query.order_by(Reminder.due_at.desc()).limit(limit)))


def _to_come() -> Sequence[ColumnElement[bool]]:
    return (
        Reminder.removed_at.is_(None),
        Reminder.fired_at.is_(None),
        Reminder.expired_at.is_(None),
    )


def kind_of(reminder: Reminder) -> str:
    """The kind of notification it becomes: countdown, reminder_1day, reminder_1hour, reminder."""
    if reminder.every_seconds:
        return "countdown"
    named = {86_400: "reminder_1day", 3_600: "reminder_1hour"} if reminder.anchor == START else {}
    return named.get(reminder.offset_seconds, "reminder")
