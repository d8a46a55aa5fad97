"""Channels as the operator of the installation finds them, whoever they belong to."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.accounts.models import User
from soonish.errors import NotFound
from soonish.integrations.models import Integration


async def listed(
    session: AsyncSession, user_id: int | None = None, *, active_only: bool = False
) -> Sequence[tuple[Integration, User]]:
    """Channels that are not deleted with their owners, of one user or of all, oldest first."""
    query = (
        select(Integration, User)
        .join(User, User.id == Integration.user_id)
        .where(Integration.deleted_at.is_(None))
        .order_by(Integration.id)
    )
    if user_id is not None:
        query = query.where(Integration.user_id == user_id)
    if active_only:
        query = query.where(Integration.is_active.is_(True))
    return [(row[0], row[1]) for row in await session.execute(query)]


async def with_owner(session: AsyncSession, integration_id: int) -> tuple[Integration, User]:
    """The channel and its owner. Raises NotFound, also for a deleted one."""
    integration = await session.get(Integration, integration_id)
    owner = integration and await session.get(User, integration.user_id)
    if integration is None or owner is None or integration.deleted_at:
        raise NotFound(f"There is no integration {integration_id}.")
    return integration, owner
