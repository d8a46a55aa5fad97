"""Notifications that were complete as soon as they were expanded: nobody could be told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.db import sql
from soonish.notifications.models import Delivery, Notification, State


async def complete_idle(session: AsyncSession, event_id: int, now: datetime) -> None:
    """Complete the event's expanded notifications that have no row to send, now or later.

    An empty audience, or channels that are all inactive: no workflow would look at them.
    """
    mine = and_(
        Notification.event_id == event_id,
        Notification.expanded_at.is_not(None),
        Notification.completed_at.is_(None),
    )
    to_send = or_(
        Delivery.state.in_((State.SENDING, State.RETRYING)),
        and_(Delivery.state == State.PENDING, Delivery.outcome.is_(None)),
    )
    busy = select(Delivery.id).where(Delivery.notification_id == Notification.id, to_send).exists()
    idle = list(await session.scalars(select(Notification.id).where(mine, ~busy)))
    if not idle:
        return
    # whoever adds rows holds the notification's lock, so it is looked at again under it
    chosen = Notification.id.in_(sql.id_list(session, idle))
    locking = select(Notification.id).where(chosen).order_by(Notification.id).with_for_update()
    await session.execute(locking)
    await session.execute(
        update(Notification)
        .where(chosen, mine, ~busy)
        .values(completed_at=now)
        .execution_options(synchronize_session=False)
    )
