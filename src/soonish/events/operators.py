"""Events as the operator of the installation reaches them: in the name of their owner."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.accounts.models import User
from soonish.errors import NotFound
from soonish.events import queries
from soonish.events.models import Event


async def with_owner(
    session: AsyncSession, event_id: int, *, lock: bool = False
) -> tuple[Event, User]:
    """The event, locked FOR UPDATE if asked, and its owner. Raises NotFound."""
    query = select(Event).where(Event.id == event_id)
    event = await session.scalar(query.with_for_update() if lock else query)
    owner = event and await session.get(User, event.owner_user_id)
    if event is None or owner is None:
        raise NotFound(f"There is no event {event_id}.")
    return event, owner


async def upcoming_by_name(
    session: AsyncSession, owner_id: int, name: str, now: datetime
) -> Event | None:
    """The owner's next event of this name that is neither over nor cancelled."""
    query = select(Event).where(
        Event.owner_user_id == owner_id,
        Event.name == name,
        Event.cancelled_at.is_(None),
        Event.start_date > now,
    )
    return await session.scalar(query.order_by(Event.start_date, Event.id).limit(1))


async def listed(
    session: AsyncSession, now: datetime, *, past: bool, limit: int
) -> list[queries.EventDetails]:
    """Events, private ones too, soonest first; with `past` also those over or cancelled."""
    query = select(Event).order_by(Event.start_date, Event.id).limit(limit)
    if not past:
        query = query.where(
            Event.cancelled_at.is_(None), func.coalesce(Event.end_date, Event.start_date) > now
        )
    rows: Sequence[Event] = (await session.scalars(query)).all()
    return await queries.details(session, rows)
