"""Dead letters for the installation's operator: failed deliveries of all events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.routing import MAIL
from soonish.errors import NotFound
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.kit.masking import mask_address


@dataclass(frozen=True)
class DeadLetter:
    """A failed delivery with its notification, masked address and kind of channel."""

    delivery: Delivery
    notification: Notification
    address: str | None
    channel: str | None


async def failed_deliveries(
    session: AsyncSession, event_id: int | None = None, limit: int = 1000
) -> list[DeadLetter]:
    """Return failed deliveries of one event or of all, newest first."""
    query = (
        select(Delivery, Notification, User.email, Integration.kind)
        .join(Notification, Notification.id == Delivery.notification_id)
        .join(User, User.id == Delivery.user_id)
        .outerjoin(Integration, Integration.id == Delivery.integration_id)
        .where(Delivery.state == DeliveryState.FAILED)
        .order_by(Delivery.id.desc())
        .limit(limit)
    )
    if event_id is not None:
        query = query.where(Notification.event_id == event_id)
    return [
        DeadLetter(one, notification, mask_address(email), MAIL if one.target_key == MAIL else kind)
        for one, notification, email, kind in await session.execute(query)
    ]


async def notifications_with_failures(
    session: AsyncSession, event_id: int | None = None
) -> Sequence[Notification]:
    """Return the notifications that have failed deliveries, oldest first."""
    bad = select(Delivery.notification_id).where(Delivery.state == DeliveryState.FAILED)
    query = select(Notification).where(Notification.id.in_(bad)).order_by(Notification.id)
    if event_id is not None:
        query = query.where(Notification.event_id == event_id)
    return (await session.scalars(query)).all()


async def require_notification(session: AsyncSession, notification_id: int) -> Notification:
    """Return the notification with this id. Raises NotFound."""
    found = await session.get(Notification, notification_id)
    if found is None:
        raise NotFound(f"There is no notification {notification_id}.")
    return found
