"""Find a user's own subscription to an event."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.errors import NotFound
from soonish.infra.db.models.subscriptions import PENDING_CONFIRMATION, Subscription


def not_subscribed() -> NotFound:
    return NotFound("You are not subscribed to this event.", code="not_subscribed")


async def find_own(
    session: AsyncSession, event_id: int, user_id: int, *, lock: bool = False
) -> Subscription | None:
    """Return the user's current, confirmed subscription, FOR UPDATE if asked, or None."""
    query = select(Subscription).where(
        Subscription.event_id == event_id,
        Subscription.user_id == user_id,
        Subscription.ended_at.is_(None),
        is_confirmed(),
    )
    return (await session.scalars(locked(query) if lock else query)).one_or_none()


def is_confirmed() -> ColumnElement[bool]:
    return Subscription.status != PENDING_CONFIRMATION


def locked(query: Select[Subscription]) -> Select[Subscription]:
    # FOR NO KEY UPDATE: rows that refer to the subscription can still be written
    return query.with_for_update(key_share=True).execution_options(populate_existing=True)
