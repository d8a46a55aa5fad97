"""Read events: lists and filters, details with tags and counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.routing import is_active
from soonish.domain.access import policy
from soonish.errors import NotFound
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event, EventTag
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.sql import id_list
from soonish.kit.paging import instant_id_cursor, page

_MOST = 12


@dataclass(frozen=True)
class Facets:
    """The most frequent categories and tags, sorted; a category in one of its spellings."""

    categories: list[str]
    tags: list[str]


async def facets(session: AsyncSession, now: datetime) -> Facets:
    """Return the facets of public events that are neither over nor cancelled."""
    categories = (
        select(func.min(Event.category))
        .where(upcoming(now), Event.category.is_not(None))
        .group_by(func.lower(Event.category))
        .order_by(func.count().desc(), func.lower(Event.category))
        .limit(_MOST)
    )
    tags = (
        select(EventTag.tag)
        .join(Event, Event.id == EventTag.event_id)
        .where(upcoming(now))
        .group_by(EventTag.tag)
        .order_by(func.count().desc(), EventTag.tag)
        .limit(_MOST)
    )
    found = [one for one in await session.scalars(categories) if one]
    return Facets(sorted(found, key=str.lower), sorted(await session.scalars(tags)))


def upcoming(now: datetime) -> ColumnElement[bool]:
    """Return the condition for public events that are neither cancelled nor over at `now`."""
    over_at = func.coalesce(Event.end_date, Event.start_date)
    return and_(Event.is_public.is_(True), Event.cancelled_at.is_(None), over_at > now)


async def with_owner(session: AsyncSession, event_id: int) -> tuple[Event, User]:
    """Return the event and its owner. Raise NotFound."""
    event = await session.get(Event, event_id)
    owner = event and await session.get(User, event.owner_user_id)
    if event is None or owner is None:
        raise NotFound(f"There is no event {event_id}.")
    return event, owner


async def upcoming_by_name(
    session: AsyncSession, owner_id: int, name: str, now: datetime
) -> Event | None:
    """Return the owner's next event with this name that is neither over nor cancelled."""
    query = select(Event).where(
        Event.owner_user_id == owner_id,
        Event.name == name,
        Event.cancelled_at.is_(None),
        Event.start_date > now,
    )
    return await session.scalar(query.order_by(Event.start_date, Event.id).limit(1))


async def list_all(
    session: AsyncSession, now: datetime, *, past: bool, limit: int
) -> list[EventDetails]:
    """Return events, private ones included, soonest first; with `past` also ended and cancelled
    ones."""
    query = select(Event).order_by(Event.start_date, Event.id).limit(limit)
    if not past:
        query = query.where(
            Event.cancelled_at.is_(None), func.coalesce(Event.end_date, Event.start_date) > now
        )
    rows: Sequence[Event] = (await session.scalars(query)).all()
    return await details(session, rows)


@dataclass(frozen=True)
class EventDetails:
    """An event with its sorted tags and number of subscribers."""

    event: Event
    tags: list[str]
    subscriber_count: int


def status_of(event: Event, now: datetime) -> str:
    """Return `scheduled`, `ongoing`, `ended` or `cancelled`."""
    if event.cancelled_at:
        return "cancelled"
    if event.over_at <= now:
        return "ended"
    return "ongoing" if event.start_date <= now else "scheduled"


@dataclass(frozen=True)
class EventFilter:
    """Filters of an event list.

    `start_from` and `start_to` are inclusive; tag and category ignore case; every word of `query`
    must occur in name, description or location.
    """

    query: str = ""
    category: str | None = None
    tag: str | None = None
    start_from: datetime | None = None
    start_to: datetime | None = None


async def list_public(
    session: AsyncSession, wanted: EventFilter, now: datetime, *, limit: int, cursor: str | None
) -> tuple[list[EventDetails], str | None]:
    """Return a page of upcoming public events, soonest first, and its next_cursor."""
    return await _page(session, select(Event).where(upcoming(now)), wanted, limit, cursor)


async def list_own(
    session: AsyncSession, user_id: int, wanted: EventFilter, *, limit: int, cursor: str | None
) -> tuple[list[EventDetails], str | None]:
    """Return a page of all events this user organizes, soonest first, and its next_cursor."""
    own = select(Event).where(policy.organized_by(user_id))
    return await _page(session, own, wanted, limit, cursor)


async def details(session: AsyncSession, events: Sequence[Event]) -> list[EventDetails]:
    """Return the events with tags and counts, in the same order, in two queries."""
    ids = [event.id for event in events]
    tags = await _tags(session, ids)
    counts = await subscriber_counts(session, ids)
    return [EventDetails(e, tags.get(e.id, []), counts.get(e.id, 0)) for e in events]


async def details_of(session: AsyncSession, event: Event) -> EventDetails:
    return (await details(session, [event]))[0]


async def visible(
    session: AsyncSession, event_id: int, user: User | None, invitation: str | None = None
) -> EventDetails:
    """Return the event if the user may see it; else raise as policy.require_visible does."""
    event = await policy.require_visible(session, event_id, user, invitation=invitation)
    return await details_of(session, event)


async def by_slug(
    session: AsyncSession, slug: str, user: User | None, invitation: str | None = None
) -> Event:
    """Return the event behind a public link if the user may see it."""
    return await policy.require_visible_slug(session, slug, user, invitation)


async def organized(session: AsyncSession, event_id: int, user: User) -> EventDetails:
    """Return the event for its organizers; else raise as policy.require_organizer does."""
    return await details_of(session, await policy.require_organizer(session, event_id, user))


async def details_for_visitors(session: AsyncSession, event: Event) -> EventDetails:
    """Return the details without the subscriber count, for pages that do not show it."""
    return EventDetails(event, await tags_of(session, event.id), 0)


async def tags_of(session: AsyncSession, event_id: int) -> list[str]:
    return (await _tags(session, [event_id])).get(event_id, [])


async def subscriber_counts(session: AsyncSession, event_ids: Sequence[int]) -> dict[int, int]:
    """Return active subscriptions by event id; events without any are omitted."""
    rows = await session.execute(
        select(Subscription.event_id, func.count())
        .where(
            Subscription.event_id.in_(id_list(session, event_ids)),
            is_active(),
        )
        .group_by(Subscription.event_id)
    )
    return dict(rows.all())


async def _page(
    session: AsyncSession,
    query: Select[Event],
    wanted: EventFilter,
    limit: int,
    cursor: str | None,
) -> tuple[list[EventDetails], str | None]:
    query = query.where(*_conditions(wanted))
    if after := instant_id_cursor(cursor):
        start, event_id = after
        same_start = and_(Event.start_date == start, Event.id > event_id)
        query = query.where(or_(Event.start_date > start, same_start))
    query = query.order_by(Event.start_date, Event.id).limit(limit + 1)
    rows = (await session.scalars(query)).all()
    shown, following = page(rows, limit, lambda event: (event.start_date, event.id))
    return await details(session, shown), following


def _conditions(wanted: EventFilter) -> list[ColumnElement[bool]]:
    made = [_contains(word) for word in wanted.query.split()]
    if wanted.category:
        made.append(func.lower(Event.category) == wanted.category.lower())
    if wanted.tag:
        tagged = (EventTag.event_id == Event.id) & (EventTag.tag == wanted.tag.lower())
        made.append(exists().where(tagged))
    if wanted.start_from:
        made.append(Event.start_date >= wanted.start_from)
    if wanted.start_to:
        made.append(Event.start_date <= wanted.start_to)
    return made


def _contains(word: str) -> ColumnElement[bool]:
    columns = (Event.name, Event.description, Event.location)
    return or_(*(column.icontains(word, autoescape=True) for column in columns))


async def _tags(session: AsyncSession, event_ids: Sequence[int]) -> dict[int, list[str]]:
    rows = await session.execute(
        select(EventTag.event_id, EventTag.tag)
        .where(EventTag.event_id.in_(id_list(session, event_ids)))
        .order_by(EventTag.tag)
    )
    tags: dict[int, list[str]] = {}
    for event_id, tag in rows:
        tags.setdefault(event_id, []).append(tag)
    return tags
