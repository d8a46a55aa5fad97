"""Dead letters as the operator of the installation sees them: failed deliveries of all events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.routing import MAIL
from soonish.errors import NotFound
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification, State
from soonish.kit.masking import mask_address


@dataclass(frozen=True)
class DeadLetter:
    """A failed delivery, what it was of, its masked address and the kind of its channel."""

    delivery: Delivery
    notification: Notification
    address: str | None
    channel: str | None


async def failed(
    session: AsyncSession, event_id: int | None = None, limit: int = 1000
) -> list[DeadLetter]:
    """Failed deliveries, of one event or of all, newest first."""
    query = (
        select(Delivery, Notification, User.email, Integration.kind)
        .join(Notification, Notification.id == Delivery.notification_id)
        .join(User, User.id == Delivery.user_id)
        .outerjoin(Integration, Integration.id == Delivery.integration_id)
        .where(Delivery.state == State.FAILED)
        .order_by(Delivery.id.desc())
        .limit(limit)
    )
    if event_id is not None:
        query = query.where(Notification.event_id == event_id)
    return [
        DeadLetter(one, notification, mask_address(email), MAIL if one.target_key == MAIL else kind)
        for one, notification, email, kind in await session.execute(query)
    ]


async def with_failures(
    session: AsyncSession, event_id: int | None = None
) -> Sequence[Notification]:
    """The notifications that have failed deliveries, oldest first."""
    bad = select(Delivery.notification_id).where(Delivery.state == State.FAILED)
    query = select(Notification).where(Notification.id.in_(bad)).order_by(Notification.id)
    if event_id is not None:
        query = query.where(Notification.event_id == event_id)
    return (await session.scalars(query)).all()


async def require(session: AsyncSession, notification_id: int) -> Notification:
    """The notification with this id. Raises NotFound."""
    found = await session.get(Notification, notification_id)
    if found is None:
        raise NotFound(f"There is no notification {notification_id}.")
    return found
