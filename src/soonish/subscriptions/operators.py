"""Subscriptions as the operator of the installation finds them."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.accounts.addresses import normalise
from soonish.accounts.queries import find_by_address
from soonish.subscriptions.queries_api import own


async def active_of(session: AsyncSession, event_id: int, address: str) -> int | None:
    """The id of this address's subscription to the event that has not ended, if there is one
    that need not be confirmed.

    Raises InvalidInput for what is no address.
    """
    user = await find_by_address(session, normalise(address))
    if user is None:
        return None
    found = await own(session, event_id, user.id)
    return found.id if found else None
