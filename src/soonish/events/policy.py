"""Who may see and change an event, and when it still can be. Nothing else decides this."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Literal

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.accounts.models import User
from soonish.errors import Conflict, Forbidden, NotFound
from soonish.events.models import Event
from soonish.subscriptions.models import Subscription
from soonish.subscriptions.queries import is_active

Lock = Literal["update", "share"]


def can_manage(event: Event, user: User | None) -> bool:
    return user is not None and event.owner_user_id == user.id


def can_see(event: Event, user: User | None, *, subscribed: bool = False) -> bool:
    """A private event is seen by its organizers and its active subscribers only."""
    return event.is_public or subscribed or can_manage(event, user)


async def require_visible(
    session: AsyncSession, event_id: int, user: User | None, *, lock: Lock | None = None
) -> Event:
    """The event, locked FOR UPDATE or FOR SHARE if asked. NotFound if `user` may not see it."""
    found = await session.scalars(_event(lock), {"p_id": event_id})
    return await seen_by(session, found.one_or_none(), user)


@cache
def _event(lock: Lock | None) -> Select[Event]:
    query = select(Event).where(Event.id == bindparam("p_id"))
    return query.with_for_update(read=lock == "share") if lock else query


async def require_visible_slug(session: AsyncSession, slug: str, user: User | None) -> Event:
    """The event behind a public link. NotFound as in require_visible."""
    found = await session.scalars(select(Event).where(Event.slug == slug))
    return await seen_by(session, found.one_or_none(), user)


async def require_organizer(
    session: AsyncSession, event_id: int, user: User, *, lock: Lock | None = None
) -> Event:
    """The event, if `user` manages it; else NotFound, or Forbidden where they may see it."""
    event = await require_visible(session, event_id, user, lock=lock)
    if not can_manage(event, user):
        raise Forbidden("Only the organizer of this event may do that.")
    return event


async def seen_by(session: AsyncSession, event: Event | None, user: User | None) -> Event:
    """`event` itself if `user` may see it, else NotFound."""
    if event and can_see(event, user):
        return event
    if event and user and can_see(event, user, subscribed=await _subscribed(session, event, user)):
        return event
    raise NotFound("There is no such event.")


def require_open(event: Event, now: datetime) -> None:
    """Conflict `event_cancelled` or `event_over` where an event takes no more changes."""
    _require_not_cancelled(event)
    if event.over_at <= now:
        raise Conflict("This event is over.", code="event_over")


def require_open_for_messages(event: Event, grace: timedelta, now: datetime) -> None:
    """As require_open, but an event that is over still takes messages for `grace`."""
    _require_not_cancelled(event)
    if event.over_at + grace <= now:
        raise Conflict("This event has been over for too long.", code="event_over")


def _require_not_cancelled(event: Event) -> None:
    if event.cancelled_at:
        raise Conflict("This event is cancelled.", code="event_cancelled")


async def _subscribed(session: AsyncSession, event: Event, user: User) -> bool:
    query = select(Subscription.id).where(
        Subscription.event_id == event.id,
        Subscription.user_id == user.id,
        is_active(),
    )
    return (await session.scalars(query)).first() is not None
