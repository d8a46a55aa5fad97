"""What the public list can be narrowed to: the categories and tags of what is to come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.events.models import Event, EventTag

_MOST = 12


@dataclass(frozen=True)
class Facets:
    """The most frequent ones, sorted; a category in one of the ways that it is written."""

    categories: list[str]
    tags: list[str]


async def facets(session: AsyncSession, now: datetime) -> Facets:
    """The facets of public events that are neither over nor cancelled."""
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
    """Public, neither cancelled nor over at `now`."""
    over_at = func.coalesce(Event.end_date, Event.start_date)
    return and_(Event.is_public.is_(True), Event.cancelled_at.is_(None), over_at > now)
