"""The reminders of an event as its organizers see them: upcoming and missed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.access import policy
from soonish.domain.reminders import queries
from soonish.domain.reminders.queries import PersonalReminders
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.reminders import Reminder


@dataclass(frozen=True)
class ReminderOverview:
    """`coming`: unfired default reminders by instant; `missed`: those that came too late to be
    sent, newest first."""

    coming: list[Reminder]
    personal: PersonalReminders
    missed: list[Reminder]


async def overview(
    session: AsyncSession, event_id: int, user: User, *, most_missed: int
) -> ReminderOverview:
    """Return the event's reminders for its organizers."""
    event = await policy.require_organizer(session, event_id, user)
    return ReminderOverview(
        await queries.default_reminders_to_come(session, event.id),
        await queries.personal_reminders(session, event.id),
        await queries.missed_reminders(session, event.id, most_missed),
    )
