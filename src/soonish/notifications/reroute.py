"""Pending rows whose channel came back: routed again (DESIGN 8)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.notifications import expansion
from soonish.notifications.models import Delivery, State
from soonish.notifications.transitions import moving
from soonish.outbox import service as outbox
from soonish.outbox import streams
from soonish.subscriptions.models import Subscription
from soonish.subscriptions.queries import targets_select


async def take(session: AsyncSession, notification_id: int, now: datetime) -> None:
    """Mark the broadcast's outbox rows done; route again the users whom they name."""
    rows = await outbox.undone(session, streams.broadcast(notification_id))
    for user_id in {row.payload["user_id"] for row in rows if "user_id" in row.payload}:
        await _route_again(session, notification_id, user_id, now)
    outbox.finish_rows(rows, now)


async def _route_again(
    session: AsyncSession, notification_id: int, user_id: int, now: datetime
) -> None:
    """Rows that wait for a channel: to be claimed again, or replaced by what is reachable now."""
    notification = await expansion.lock(session, notification_id)
    waiting = select(Delivery).where(
        and_(
            Delivery.notification_id == notification_id,
            Delivery.user_id == user_id,
            Delivery.state == State.PENDING,
            Delivery.outcome.is_not(None),
            Delivery.expires_at > now,
        )
    )
    stuck = (await session.scalars(waiting)).all()
    if notification is None or not stuck:
        return
    mine = Subscription.id.in_([row.subscription_id for row in stuck if row.subscription_id])
    targets = (await session.execute(targets_select(mine))).all()
    outcomes = {(row.subscription_id, row.target_key): row.outcome for row in targets}
    replaced: list[int] = []
    for row in stuck:
        key = (row.subscription_id, row.target_key)
        if key in outcomes:
            row.outcome = outcomes[key]
        else:
            replaced.append(row.id)
    await session.flush()
    await session.execute(moving(State.SUPPRESSED, Delivery.id.in_(replaced), finished_at=now))
    expires_at = min(row.expires_at for row in stuck if row.expires_at)
    await expansion.expand(session, notification, mine, now=now, expires_at=expires_at)
    notification.completed_at = None
