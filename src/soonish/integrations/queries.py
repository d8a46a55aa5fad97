"""SQL of a user's channels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.outcome import Outcome
from soonish.integrations.models import Integration
from soonish.notifications.models import Delivery, State


async def own(
    session: AsyncSession, user_id: int, integration_id: int, *, lock: bool = False
) -> Integration | None:
    """The user's integration, if it is theirs and not deleted."""
    query = select(Integration).where(
        Integration.id == integration_id,
        Integration.user_id == user_id,
        Integration.deleted_at.is_(None),
    )
    return (await session.scalars(query.with_for_update() if lock else query)).one_or_none()


async def listed(
    session: AsyncSession, user_id: int, limit: int, after_id: int | None = None
) -> Sequence[Integration]:
    """The user's integrations in the order they were made, from behind `after_id`."""
    query = select(Integration).where(
        Integration.user_id == user_id,
        Integration.deleted_at.is_(None),
        Integration.id > (after_id or 0),
    )
    return (await session.scalars(query.order_by(Integration.id).limit(limit))).all()


async def notifications_waiting(
    session: AsyncSession, user_id: int, now: datetime
) -> Sequence[int]:
    """Notifications with deliveries to the user that wait for a channel and have not expired."""
    query = (
        select(Delivery.notification_id)
        .where(
            Delivery.user_id == user_id,
            Delivery.state == State.PENDING,
            Delivery.outcome.in_((Outcome.CHANNEL_INACTIVE, Outcome.CHANNEL_GONE)),
            or_(Delivery.expires_at.is_(None), Delivery.expires_at > now),
        )
        .distinct()
        .order_by(Delivery.notification_id)
    )
    return (await session.scalars(query)).all()
