"""The organizer's dashboard: what needs attention, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.access.policy import organized_by
from soonish.domain.notifications import queries
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.models.subscriptions import PENDING_APPROVAL, Subscription

RECENT = timedelta(days=7)
MOST = 5


@dataclass(frozen=True)
class PendingApprovals:
    """Pending approval requests of an event."""

    event_id: int
    event_name: str
    count: int


@dataclass(frozen=True)
class FailedMessage:
    """A recent message that failed for some recipients and can still be retried."""

    event_id: int
    event_name: str
    notification_id: int
    title: str
    count: int


@dataclass(frozen=True)
class NextReminder:
    """The next default reminder of one of the user's events."""

    event_id: int
    event_name: str
    timezone: str
    due_at: datetime


async def pending_approvals(session: AsyncSession, user: User) -> list[PendingApprovals]:
    """Return pending approvals by event, most first."""
    count = func.count()
    query = (
        select(Event.id, Event.name, count)
        .join(Subscription, Subscription.event_id == Event.id)
        .where(
            organized_by(user.id),
            Event.cancelled_at.is_(None),
            Subscription.status == PENDING_APPROVAL,
            Subscription.ended_at.is_(None),
        )
        .group_by(Event.id, Event.name)
        .order_by(count.desc(), Event.id)
        .limit(MOST)
    )
    return [PendingApprovals(*row) for row in await session.execute(query)]


async def failed_messages(session: AsyncSession, user: User, now: datetime) -> list[FailedMessage]:
    """Return recent failed messages of the user's events, newest first."""
    counts = (
        select(Delivery.notification_id, func.count().label("count"))
        .join(Notification, Notification.id == Delivery.notification_id)
        .join(Event, Event.id == Notification.event_id)
        .where(
            organized_by(user.id),
            Notification.created_at > now - RECENT,
            Delivery.state == DeliveryState.FAILED,
            Delivery.expires_at > now,
        )
        .group_by(Delivery.notification_id)
        .order_by(Delivery.notification_id.desc())
        .limit(MOST)
        .subquery()
    )
    query = (
        select(Notification, Event, counts.c.count)
        .join(counts, counts.c.notification_id == Notification.id)
        .join(Event, Event.id == Notification.event_id)
        .order_by(Notification.id.desc())
    )
    return [
        FailedMessage(event.id, event.name, row.id, queries.title_of(event, row), count)
        for row, event, count in await session.execute(query)
    ]


async def next_reminders(session: AsyncSession, user: User, now: datetime) -> list[NextReminder]:
    """Return the next default reminders of the user's events, soonest first."""
    query = (
        select(Event.id, Event.name, Event.timezone, Reminder.due_at)
        .join(Reminder, Reminder.event_id == Event.id)
        .where(
            organized_by(user.id),
            Event.cancelled_at.is_(None),
            Reminder.subscription_id.is_(None),
            Reminder.removed_at.is_(None),
            Reminder.fired_at.is_(None),
            Reminder.expired_at.is_(None),
            Reminder.due_at > now,
        )
        .order_by(Reminder.due_at, Reminder.id)
        .limit(MOST)
    )
    return [NextReminder(*row) for row in await session.execute(query)]
