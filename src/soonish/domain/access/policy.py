"""The one place that decides who may do what with events, subscriptions and notifications.

A function of a service or a query that takes a user authorises here in its first line, so that
routes, pages and commands need not. One that takes an `Event` relies on such a function.

A user's relation to an event is one of: owner, co-organizer, subscriber, applicant (waiting for
approval), invitee (by address, or holding an invitation's token) or outsider.

- Everybody can see a public event. A private one is NotFound for outsiders.
- Organizers (owner and co-organizers) edit it, message its subscribers and manage them.
- Only the owner cancels it, transfers it and manages its organizers.
- An action on something visible but not permitted is Forbidden; on something invisible, NotFound.

The holder of a manage token acts as the subscriber for that one subscription (`web/acting.py`).
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
    """Anything with an owner: an event as a row or as the API returns it."""

    @property
    def owner_user_id(self) -> Any: ...


def is_owner(event: Owned, user: User | None) -> bool:
    return user is not None and event.owner_user_id == user.id


async def is_organizer(session: AsyncSession, event: Event, user: User | None) -> bool:
    """Return True for the owner and the co-organizers."""
    if user is None or is_owner(event, user):
        return user is not None
    return bool(await session.scalar(select(_co_organizes(event.id, user.id))))


def organized_by(user_id: int) -> ColumnElement[bool]:
    """Return the condition for events this user owns or co-organizes."""
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
    """Return the event, locked FOR UPDATE or FOR SHARE if asked.

    Raise NotFound if neither `user` nor the holder of the `invitation` token may see it.
    """
    found = await _find(session, event_id, lock)
    return await require_visible_to(session, found, user, invitation)


async def _find(session: AsyncSession, event_id: int, lock: Lock | None) -> Event | None:
    """Return the event, read only once per session unless it is to be locked."""
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
    """Return the event with this slug. Raise NotFound as require_visible does."""
    found = await session.scalars(select(Event).where(Event.slug == slug))
    return await require_visible_to(session, found.one_or_none(), user, invitation)


async def require_visible_to(
    session: AsyncSession, event: Event | None, user: User | None, invitation: str | None = None
) -> Event:
    """Return `event` if the user or the holder of the invitation may see it, else raise
    NotFound."""
    if event is None or not await _may_see(session, event, user, invitation):
        raise NotFound("There is no such event.")
    return event


async def require_organizer(
    session: AsyncSession, event_id: int, user: User, *, lock: Lock | None = None
) -> Event:
    """Return the event if `user` organizes it; else raise NotFound, or Forbidden if it is
    visible."""
    event = await require_visible(session, event_id, user, lock=lock)
    if not await is_organizer(session, event, user):
        raise Forbidden("Only the organizers of this event may do that.")
    return event


async def require_owner(
    session: AsyncSession, event_id: int, user: User, *, lock: Lock | None = None
) -> Event:
    """Return the event if `user` owns it; else raise as require_organizer does."""
    event = await require_visible(session, event_id, user, lock=lock)
    if not is_owner(event, user):
        raise Forbidden("Only the owner of this event may do that.")
    return event


async def require_admin(
    session: AsyncSession, event_id: int, actor: User, *, lock: Lock | None = None
) -> Event:
    """Return any event to an administrator. Raise NotFound for others and for a missing event."""
    event = await _find(session, event_id, lock)
    if event is None or not actor.is_admin:
        raise NotFound(f"There is no event {event_id}.")
    return event


async def require_organizer_or_admin(
    session: AsyncSession,
    event_id: int,
    actor: User,
    *,
    as_administrator: bool,
    lock: Lock | None = None,
) -> Event:
    """Return the event if the actor organizes it or acts as an administrator.

    Raise as require_organizer or require_admin do.
    """
    require = require_admin if as_administrator else require_organizer
    return await require(session, event_id, actor, lock=lock)


async def require_notification(
    session: AsyncSession, event_id: int, notification_id: int, user: User
) -> tuple[Event, Notification]:
    """Return the notification and its event for an organizer.

    Raise NotFound for another event's.
    """
    event = await require_organizer(session, event_id, user)
    found = await session.get(Notification, notification_id)
    if found is None or found.event_id != event.id:
        raise NotFound("This event has no such notification.")
    return event, found


async def require_own_subscription(
    session: AsyncSession, event_id: int, user: User, *, lock: bool = False
) -> Subscription:
    """Return the user's current subscription, FOR UPDATE if asked.

    Raise NotFound `not_subscribed` without one, and NotFound for an event they may not see.
    """
    subscription = await subscription_queries.find_own(session, event_id, user.id, lock=lock)
    if subscription is None:
        await require_visible(session, event_id, user)
        raise subscription_queries.not_subscribed()
    return subscription


def of_event(event: Event, subscription_id: int) -> ColumnElement[bool]:
    """Return the condition for a subscription the event's organizers can see and manage."""
    return and_(
        Subscription.id == subscription_id,
        Subscription.event_id == event.id,
        subscription_queries.is_confirmed(),
    )


@dataclass(frozen=True)
class Admission:
    """The outcome of an admission check for a new subscription.

    `status` is `active` or `pending_approval`, or None if only an existing subscription may
    continue. `invitation` is the one to count a use of, None if none is needed.
    """

    status: str | None = ACTIVE
    invitation: Invitation | None = None


async def admit(
    session: AsyncSession, event: Event, user: User | None, invitation: str | None
) -> Admission:
    """Decide how somebody may subscribe to an event they can see.

    Raise Conflict `invitation_used_up` if their invitation has no uses left.
    """
    if event.is_public or await is_organizer(session, event, user):
        return Admission()
    found = await _invitation(session, event, user, invitation)
    if found is not None and invitation_queries.has_uses_left(found):
        return Admission(PENDING_APPROVAL if found.needs_approval else ACTIVE, found)
    if user is not None and await subscription_queries.find_own(session, event.id, user.id):
        return Admission(None)
    raise invitation_used_up()


def invitation_used_up() -> Conflict:
    return Conflict("This invitation has been used already.", code="invitation_used_up")


async def require_confirmable(
    session: AsyncSession, waiting: Subscription, user: User, *, lock: Lock | None
) -> Event:
    """Return the event of a subscription to confirm: one it was admitted to, or that is visible."""
    if waiting.status != PENDING_CONFIRMATION or waiting.admitted_as is None:
        return await require_visible(session, waiting.event_id, user, lock=lock)
    event = await _find(session, waiting.event_id, lock)
    if event is None:
        raise NotFound("There is no such event.")
    return event


def require_open(event: Event, now: datetime) -> None:
    """Raise Conflict `event_cancelled` or `event_over` if the event can no longer change."""
    _require_not_cancelled(event)
    if event.over_at <= now:
        raise Conflict("This event is over.", code="event_over")


def require_open_for_messages(event: Event, grace: timedelta, now: datetime) -> None:
    """Raise as require_open does, but accept messages for `grace` after the end of the event."""
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
    if user is not None and await session.scalar(select(_participates(event.id, user.id))):
        return True
    return await _invitation(session, event, user, invitation) is not None


def _participates(event_id: int, user_id: int) -> ColumnElement[bool]:
    """Match co-organizers, subscribers and applicants (who keep the view their invitation gave)."""
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
    """Return the token's invitation, else the best one to the user's own address."""
    found = token and await invitation_queries.by_token(session, event.id, token, utc_now())
    if found or user is None:
        return found or None
    return await invitation_queries.of_user(session, event.id, user.id, utc_now())
