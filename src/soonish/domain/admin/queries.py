"""Admin search for users, events and channels, without addresses or URLs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.events import queries as events
from soonish.domain.events.queries import EventDetails
from soonish.errors import InvalidInput
from soonish.identity.addresses import fingerprint_of, normalise
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.sql import newest_page

Health = Literal["working", "failing", "open", "off"]


@dataclass(frozen=True)
class UserWithCounts:
    """A user with the number of events they own and of their current subscriptions."""

    user: User
    events: int
    subscriptions: int


async def users(
    session: AsyncSession, query: str, *, limit: int, cursor: str | None
) -> tuple[list[UserWithCounts], str | None]:
    """Return a page of users whose name contains the text or whose address equals it, newest
    first."""
    found = select(User).where(User.merged_into_id.is_(None))
    if query.strip():
        found = found.where(_matches(query.strip()))
    rows, following = await newest_page(session, found, User, limit, cursor)
    return await with_counts(session, rows), following


async def with_counts(session: AsyncSession, rows: Sequence[User]) -> list[UserWithCounts]:
    """Return the users with their counts, in the same order."""
    ids = [user.id for user in rows]
    owned = await _counts(session, Event.owner_user_id, Event.owner_user_id.in_(ids))
    mine = and_(Subscription.user_id.in_(ids), Subscription.ended_at.is_(None))
    subscribed = await _counts(session, Subscription.user_id, mine)
    return [UserWithCounts(u, owned.get(u.id, 0), subscribed.get(u.id, 0)) for u in rows]


async def all_events(
    session: AsyncSession, query: str, *, limit: int, cursor: str | None
) -> tuple[list[EventDetails], str | None]:
    """Return a page of all events whose name contains every word, newest first."""
    words = [Event.name.icontains(word, autoescape=True) for word in query.split()]
    rows, following = await newest_page(session, select(Event).where(*words), Event, limit, cursor)
    return await events.details(session, rows), following


async def channels(
    session: AsyncSession,
    *,
    health: Health | None,
    kind: str | None,
    now: datetime,
    limit: int,
    cursor: str | None,
) -> tuple[list[Integration], str | None]:
    """Return a page of channels with this health and kind (None: any), newest first."""
    found = select(Integration).where(Integration.deleted_at.is_(None))
    if health:
        found = found.where(_is_in(health, now))
    if kind:
        found = found.where(Integration.kind == kind)
    return await newest_page(session, found, Integration, limit, cursor)


def health_of(integration: Integration, now: datetime) -> Health:
    """Return the channel's health, by the same rule as `channels`."""
    if not integration.is_active:
        return "off"
    if integration.open_until and integration.open_until > now:
        return "open"
    return "failing" if integration.failing_since else "working"


def _is_in(health: Health, now: datetime) -> ColumnElement[bool]:
    active, is_open = Integration.is_active.is_(True), Integration.open_until > now
    closed = or_(Integration.open_until.is_(None), Integration.open_until <= now)
    conditions: dict[Health, ColumnElement[bool]] = {
        "off": Integration.is_active.is_(False),
        "open": and_(active, is_open),
        "failing": and_(active, closed, Integration.failing_since.is_not(None)),
        "working": and_(active, closed, Integration.failing_since.is_(None)),
    }
    return conditions[health]


def _matches(text: str) -> ColumnElement[bool]:
    by_name = User.name.icontains(text, autoescape=True)
    try:
        return or_(by_name, User.email_fingerprint == fingerprint_of(normalise(text)))
    except InvalidInput:
        return by_name


async def _counts(
    session: AsyncSession, column: Any, condition: ColumnElement[bool]
) -> dict[int, int]:
    rows = await session.execute(select(column, func.count()).where(condition).group_by(column))
    return {int(key): int(count) for key, count in rows}
