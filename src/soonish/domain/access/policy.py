"""Who may do what to an event, a subscription, a channel, a notification. Nothing else decides.

A function of a service or a query that takes a user asks here in its first line, so that routes,
pages and commands need not; one that takes an `Event` works on what such a function returned.

On an event somebody is its owner, a co-organizer, a subscriber, an asker (who waits for approval),
invited (by address, or with an invitation's token in hand) or an outsider:

- everybody sees a public event; a private one is NotFound but for the others than outsiders;
- organizers (owner and co-organizers) change it, write to its subscribers and decide about them;
- its owner alone cancels it, hands it over and chooses its organizers;
- what somebody may see but not do is Forbidden, what they may not see is NotFound.

The holder of a manage token is the subscriber for that one subscription (`subscriptions.acting`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal, Protocol

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.access import invitation_queries, subscription_queries
from soonish.errors import Conflict, Forbidden, NotFound
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event, EventOrganizer, Invitation
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.subscriptions import (
    ACTIVE,
    PENDING_APPROVAL,
    PENDING_CONFIRMATION,
    Subscription,
)
from soonish.infra.db.types import utc_now

Lock = Literal["update", "share"]


class Owned(Protocol):
    """An event, as a row or as the API shows it."""

    @property
    def owner_user_id(self) -> Any: ...


def is_owner(event: Owned, user: User | None) -> bool:
    return user is not None and event.owner_user_id == user.id


async def is_organizer(session: AsyncSession, event: Event, user: User | None) -> bool:
    """True for the owner and the co-organizers."""
    if user is None or is_owner(event, user):
        return user is not None
    return bool(await session.scalar(select(_co_organizes(event.id, user.id))))


def organized_by(user_id: int) -> ColumnElement[bool]:
    """The condition for the events of this organizer, their own and those they help with."""
    helped = exists().where(EventOrganizer.event_id == Event.id, EventOrganizer.user_id == user_id)
    return or_(Event.owner_user_id == user_id, helped)


async def require_visible(
    session: AsyncSession,
    event_id: int,
    user: User | None,
    *,
    lock: Lock | None = None,
    invitation: str | None = None,
) -> Event:
    """The event, locked FOR UPDATE or FOR SHARE if asked.

    NotFound if neither `user` nor the holder of the `invitation`'s token may see it.
    """
    return await seen_by(session, await _find(session, event_id, lock), user, invitation)


async def _find(session: AsyncSession, event_id: int, lock: Lock | None) -> Event | None:
    """The event, read once for a session unless it is to be locked."""
    if lock is None:
        return await session.get(Event, event_id)
    return (await session.scalars(_locked(lock), {"p_id": event_id})).one_or_none()


@cache
def _locked(lock: Lock) -> Select[Event]:
    query = select(Event).where(Event.id == bindparam("p_id"))
    # what was read before the lock may have changed until it was given
    return query.with_for_update(read=lock == "share").execution_options(populate_existing=True)


async def require_visible_slug(
    session: AsyncSession, slug: str, user: User | None, invitation: str | None = None
) -> Event:
    """The event behind a public link. NotFound as in require_visible."""
    found = await session.scalars(select(Event).where(Event.slug == slug))
    return await seen_by(session, found.one_or_none(), user, invitation)


async def seen_by(
    session: AsyncSession, event: Event | None, user: User | None, invitation: str | None = None
) -> Event:
    """`event` itself if `user`, or whoever holds the invitation, may see it, else NotFound."""
    if event is None or not await _may_see(session, event, user, invitation):
        raise NotFound("There is no such event.")
    return event


async def require_organizer(
    session: AsyncSession, event_id: int, user: User, *, lock: Lock | None = None
) -> Event:
    """The event, if `user` organizes it; else NotFound, or Forbidden where they may see it."""
    event = await require_visible(session, event_id, user, lock=lock)
    if not await is_organizer(session, event, user):
        raise Forbidden("Only the organizers of this event may do that.")
    return event


async def require_owner(
    session: AsyncSession, event_id: int, user: User, *, lock: Lock | None = None
) -> Event:
    """The event, if it is the user's own; errors as require_organizer, also for co-organizers."""
    event = await require_visible(session, event_id, user, lock=lock)
    if not is_owner(event, user):
        raise Forbidden("Only the owner of this event may do that.")
    return event


async def require_administered(
    session: AsyncSession, event_id: int, actor: User, *, lock: Lock | None = None
) -> Event:
    """Anybody's event, for an administrator. NotFound for others, and without such an event."""
    event = await _find(session, event_id, lock)
    if event is None or not actor.is_admin:
        raise NotFound(f"There is no event {event_id}.")
    return event


async def require_in_charge(
    session: AsyncSession,
    event_id: int,
    actor: User,
    *,
    as_administrator: bool,
    lock: Lock | None = None,
) -> Event:
    """As require_organizer, or as require_administered for who acts as an administrator."""
    require = require_administered if as_administrator else require_organizer
    return await require(session, event_id, actor, lock=lock)


async def require_notification(
    session: AsyncSession, event_id: int, notification_id: int, user: User
) -> tuple[Event, Notification]:
    """A notification with its event, for the organizers. NotFound also for another event's."""
    event = await require_organizer(session, event_id, user)
    found = await session.get(Notification, notification_id)
    if found is None or found.event_id != event.id:
        raise NotFound("This event has no such notification.")
    return event, found


async def require_own_subscription(
    session: AsyncSession, event_id: int, user: User, *, lock: bool = False
) -> Subscription:
    """The user's subscription that has not ended, FOR UPDATE if asked. NotFound `not_subscribed`
    without one, NotFound as well for an event they may not see."""
    subscription = await subscription_queries.own(session, event_id, user.id, lock=lock)
    if subscription is None:
        await require_visible(session, event_id, user)
        raise subscription_queries.not_subscribed()
    return subscription


def of_event(event: Event, subscription_id: int) -> ColumnElement[bool]:
    """The condition for a subscription that the event's organizers know of and decide about."""
    return and_(
        Subscription.id == subscription_id,
        Subscription.event_id == event.id,
        subscription_queries.is_confirmed(),
    )


@dataclass(frozen=True)
class Admission:
    """What a new subscription becomes, `active` or `pending_approval`, and the invitation that
    lets it in; None where none is needed. Without a status only the present one goes on."""

    status: str | None = ACTIVE
    invitation: Invitation | None = None


async def admit(
    session: AsyncSession, event: Event, user: User | None, invitation: str | None
) -> Admission:
    """How somebody may subscribe to an event which they see.

    Conflict `invitation_used_up` where their invitation lets nobody in any more.
    """
    if event.is_public or await is_organizer(session, event, user):
        return Admission()
    found = await _invitation(session, event, user, invitation)
    if found is not None and invitation_queries.has_uses_left(found):
        return Admission(PENDING_APPROVAL if found.needs_approval else ACTIVE, found)
    if user is not None and await subscription_queries.own(session, event.id, user.id):
        return Admission(None)
    raise used_up()


def used_up() -> Conflict:
    return Conflict("This invitation has been used already.", code="invitation_used_up")


async def require_confirmable(
    session: AsyncSession, waiting: Subscription, user: User, *, lock: Lock | None
) -> Event:
    """The event of a subscription that its address confirms: one it was let in to, or may see."""
    if waiting.status != PENDING_CONFIRMATION or waiting.admitted_as is None:
        return await require_visible(session, waiting.event_id, user, lock=lock)
    event = await _find(session, waiting.event_id, lock)
    if event is None:
        raise NotFound("There is no such event.")
    return event


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


async def _may_see(
    session: AsyncSession, event: Event, user: User | None, invitation: str | None
) -> bool:
    if event.is_public or is_owner(event, user):
        return True
    if user is not None and await session.scalar(select(_takes_part(event.id, user.id))):
        return True
    return await _invitation(session, event, user, invitation) is not None


def _takes_part(event_id: int, user_id: int) -> ColumnElement[bool]:
    """Co-organizers, subscribers, and askers, who go on seeing what their invitation showed."""
    asks = and_(
        Subscription.status == PENDING_APPROVAL, Subscription.admitted_as == PENDING_APPROVAL
    )
    subscribed = exists().where(
        Subscription.event_id == event_id,
        Subscription.user_id == user_id,
        Subscription.ended_at.is_(None),
        or_(Subscription.status == ACTIVE, asks),
    )
    return or_(subscribed, _co_organizes(event_id, user_id))


def _co_organizes(event_id: int, user_id: int) -> ColumnElement[bool]:
    return exists().where(EventOrganizer.event_id == event_id, EventOrganizer.user_id == user_id)


async def _invitation(
    session: AsyncSession, event: Event, user: User | None, token: str | None
) -> Invitation | None:
    """The one of the token, else one to the user's own address; the most generous of several."""
    found = token and await invitation_queries.by_token(session, event.id, token, utc_now())
    if found or user is None:
        return found or None
    return await invitation_queries.of_user(session, event.id, user.id, utc_now())
