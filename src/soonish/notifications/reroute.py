"""Pending rows whose channel came back: routed again (DESIGN 8)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.notifications import expansion
from soonish.notifications.models import Delivery, State
from soonish.outbox import service as outbox
from soonish.outbox import streams
from soonish.subscriptions.models import Subscription


async def take(session: AsyncSession, notification_id: int, now: datetime) -> None:
    """Mark the broadcast's outbox rows done; route again the users whom they name."""
    rows = await outbox.undone(session, streams.broadcast(notification_id))
    users = {row.payload["user_id"] for row in rows if "user_id" in row.payload}
    for user_id in users:
        await _route_again(session, notification_id, user_id, now)
    outbox.finish_rows(rows, now)


async def _route_again(
    session: AsyncSession, notification_id: int, user_id: int, now: datetime
) -> None:
    """New rows for the channels reachable now; the unreachable rows become suppressed."""
    notification = await expansion.lock(session, notification_id)
    stuck = and_(
        Delivery.notification_id == notification_id,
        Delivery.user_id == user_id,
        Delivery.state == State.PENDING,
        Delivery.outcome.is_not(None),
        Delivery.expires_at > now,
    )
    old = (await session.execute(select(Delivery).where(stuck))).scalars().all()
    if notification is None or not old:
        return
    await session.execute(
        update(Delivery)
        .where(stuck, ~Delivery.target_key.startswith("selector:"))
        .values(outcome=None)
    )
    notification.completed_at = None
    await expansion.expand(
        session,
        notification,
        Subscription.id.in_([row.subscription_id for row in old if row.subscription_id]),
        now=now,
        expires_at=min(row.expires_at for row in old if row.expires_at),
    )
    await session.execute(
        update(Delivery)
        .where(stuck, Delivery.target_key.startswith("selector:"))
        .values(state=State.SUPPRESSED, finished_at=now)
    )
