"""An event's statistics: subscriptions and deliveries by day, and the punctuality of reminders."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.access import policy
from soonish.domain.events.schemas import Day, FiredReminderOut
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.infra.db.models.subscriptions import ACTIVE, Subscription
from soonish.kit.paging import id_cursor, page
from soonish.kit.schemas import Page

DAYS = 30


async def days(session: AsyncSession, event_id: int, user: User, now: datetime) -> list[Day]:
    """Return a row per day in UTC, oldest first, for 30 days or since the event was created.

    Only its organizers may read them.
    """
    event = await policy.require_organizer(session, event_id, user)
    today = now.astimezone(UTC).date()
    first = max(today - timedelta(days=DAYS - 1), min(event.created_at.date(), today))
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    came = await _by_day(session, event, Subscription.created_at, since)
    left = await _by_day(session, event, Subscription.ended_at, since)
    states = await _states_by_day(session, event, since)
    subscribers = await _before(session, event, since)
    made: list[Day] = []
    for number in range((today - first).days + 1):
        day = first + timedelta(days=number)
        subscribers += came.get(day, 0) - left.get(day, 0)
        made.append(
            Day(
                day=day,
                subscribed=came.get(day, 0),
                left=left.get(day, 0),
                subscribers=subscribers,
                deliveries=states.get(day, {}),
            )
        )
    return made


async def fired_reminders(
    session: AsyncSession, event_id: int, user: User, *, limit: int, cursor: str | None
) -> Page[FiredReminderOut]:
    """Return a page of the reminders that were sent, newest first, for the event's organizers."""
    event = await policy.require_organizer(session, event_id, user)
    is_sent = Delivery.state == DeliveryState.SENT
    due_at = func.min(Delivery.due_at)
    query = (
        select(
            Notification.id.label("notification_id"),
            Notification.kind,
            due_at.label("due_at"),
            func.min(Delivery.finished_at).filter(is_sent).label("first_sent_at"),
            func.max(Delivery.finished_at).filter(is_sent).label("last_sent_at"),
            func.count().filter(is_sent).label("sent"),
            func.count().label("targets"),
        )
        .join(Delivery, Delivery.notification_id == Notification.id)
        .where(Notification.event_id == event.id, Delivery.due_at.is_not(None))
        .group_by(Notification.id, Notification.kind)
    )
    if (before := id_cursor(cursor)) is not None:
        query = query.where(Notification.id < before)
    query = query.order_by(Notification.id.desc()).limit(limit + 1)
    rows = [FiredReminderOut.model_validate(row) for row in await session.execute(query)]
    shown, following = page(rows, limit, lambda row: row.notification_id)
    return Page(items=shown, next_cursor=following)


async def _by_day(
    session: AsyncSession, event: Event, column: Any, since: datetime
) -> dict[date, int]:
    day = func.date(column)
    query = select(day, func.count()).where(*_counted(event), column >= since).group_by(day)
    return {_date(found): count for found, count in await session.execute(query)}


async def _states_by_day(
    session: AsyncSession, event: Event, since: datetime
) -> dict[date, dict[str, int]]:
    day = func.date(Delivery.created_at)
    query: Select[Any, str, int] = (
        select(day, Delivery.state, func.count())
        .join(Notification, Notification.id == Delivery.notification_id)
        .where(Notification.event_id == event.id, Delivery.created_at >= since)
        .group_by(day, Delivery.state)
    )
    made: dict[date, dict[str, int]] = {}
    for found, state, count in await session.execute(query):
        made.setdefault(_date(found), {})[state] = count
    return made


async def _before(session: AsyncSession, event: Event, since: datetime) -> int:
    """Return the number of subscribers at the beginning of the first day."""
    came = select(func.count()).where(*_counted(event), Subscription.created_at < since)
    left = select(func.count()).where(*_counted(event), Subscription.ended_at < since)
    return (await session.scalar(came) or 0) - (await session.scalar(left) or 0)


def _counted(event: Event) -> Iterable[ColumnElement[bool]]:
    return (Subscription.event_id == event.id, Subscription.status == ACTIVE)


def _date(found: Any) -> date:
    """Return the date from SQLite's text or PostgreSQL's date (its sessions are in UTC)."""
    return found if isinstance(found, date) else date.fromisoformat(found)
