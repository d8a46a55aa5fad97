"""Read integrations: a user's own, and all of them with their owners for the operator."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.transports.outcome import Outcome
from soonish.domain.integrations.schemas import IntegrationOut
from soonish.errors import NotFound
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, DeliveryState
from soonish.infra.db.types import utc_now
from soonish.kit.paging import id_cursor, page
from soonish.kit.schemas import Page


async def list_with_owners(
    session: AsyncSession, user_id: int | None = None, *, active_only: bool = False
) -> Sequence[tuple[Integration, User]]:
    """Return active and inactive channels with their owners, of one user or all, oldest first."""
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
    """Return the channel and its owner. Raise NotFound, also for a deleted one."""
    integration = await session.get(Integration, integration_id)
    owner = integration and await session.get(User, integration.user_id)
    if integration is None or owner is None or integration.deleted_at:
        raise NotFound(f"There is no integration {integration_id}.")
    return integration, owner


async def find_own(
    session: AsyncSession, user_id: int, integration_id: int, *, lock: bool = False
) -> Integration | None:
    """Return the user's integration, or None if it is not theirs or was deleted."""
    query = select(Integration).where(
        Integration.id == integration_id,
        Integration.user_id == user_id,
        Integration.deleted_at.is_(None),
    )
    return (await session.scalars(query.with_for_update() if lock else query)).one_or_none()


async def list_own(
    session: AsyncSession, user: User, *, limit: int, cursor: str | None = None
) -> Page[IntegrationOut]:
    """Return a page of the user's integrations, oldest first."""
    query = select(Integration).where(
        Integration.user_id == user.id,
        Integration.deleted_at.is_(None),
        Integration.id > (id_cursor(cursor) or 0),
    )
    rows = (await session.scalars(query.order_by(Integration.id).limit(limit + 1))).all()
    shown, following = page(rows, limit, lambda row: row.id)
    items = [IntegrationOut.of(row, utc_now()) for row in shown]
    return Page(items=items, next_cursor=following)


async def notifications_waiting(
    session: AsyncSession, user_id: int, now: datetime
) -> Sequence[int]:
    """Return notifications with unexpired deliveries to the user that wait for a channel."""
    query = (
        select(Delivery.notification_id)
        .where(
            Delivery.user_id == user_id,
            Delivery.state == DeliveryState.PENDING,
            Delivery.outcome.in_((Outcome.CHANNEL_INACTIVE, Outcome.CHANNEL_GONE)),
            or_(Delivery.expires_at.is_(None), Delivery.expires_at > now),
        )
        .distinct()
        .order_by(Delivery.notification_id)
    )
    return (await session.scalars(query)).all()


async def require_own(
    session: AsyncSession, user: User, integration_id: int, *, lock: bool = False
) -> Integration:
    """Return the user's integration. Raise NotFound for any other and for a deleted one."""
    integration = await find_own(session, user.id, integration_id, lock=lock)
    if integration is None:
        raise NotFound("There is no such integration.")
    return integration
