"""Subscriptions as the operator of the installation finds them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.accounts.addresses import normalise
from soonish.accounts.queries import find_by_address
from soonish.subscriptions.models import Subscription


async def active_of(session: AsyncSession, event_id: int, address: str) -> int | None:
    """The id of this address's subscription to the event that has not ended, if there is one.

    Raises InvalidInput for what is no address.
    """
    user = await find_by_address(session, normalise(address))
    if user is None:
        return None
    query = select(Subscription.id).where(
        Subscription.event_id == event_id,
        Subscription.user_id == user.id,
        Subscription.ended_at.is_(None),
    )
    return await session.scalar(query)
