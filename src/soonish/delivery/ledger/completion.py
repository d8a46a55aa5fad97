"""Find out what is left of a notification, and complete it when nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger import expansion
from soonish.delivery.ledger.conditions import claimable, claimable_by
from soonish.delivery.ledger.ledger import finish_unsendable
from soonish.delivery.ledger.states import NO_LEASE, finished_values, transition
from soonish.delivery.transports.outcome import Outcome
from soonish.infra.db import sql
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.infra.db.types import UtcDateTime
from soonish.workflow_types import BroadcastState, BroadcastWork


async def complete_idle(session: AsyncSession, event_id: int, now: datetime) -> None:
    """Complete the event's expanded notifications that have no row to send, now or later.

    Their audience is empty or all its channels are inactive, so no workflow would look at them.
    """
    mine = and_(
        Notification.event_id == event_id,
        Notification.expanded_at.is_not(None),
        Notification.completed_at.is_(None),
    )
    to_send = or_(
        Delivery.state.in_((DeliveryState.SENDING, DeliveryState.RETRYING)),
        and_(Delivery.state == DeliveryState.PENDING, Delivery.outcome.is_(None)),
    )
    busy = select(Delivery.id).where(Delivery.notification_id == Notification.id, to_send).exists()
    idle = list(await session.scalars(select(Notification.id).where(mine, ~busy)))
    if not idle:
        return
    # Rows are only added under the notification's lock: take it and check again.
    chosen = Notification.id.in_(sql.id_list(session, idle))
    locking = select(Notification.id).where(chosen).order_by(Notification.id).with_for_update()
    await session.execute(locking)
    await session.execute(
        update(Notification)
        .where(chosen, mine, ~busy)
        .values(completed_at=now)
        .execution_options(synchronize_session=False)
    )


# for rows that are being sent: a straggler ends long before its lease
RECHECK_AFTER = timedelta(seconds=5)


async def has_claimable(
    session: AsyncSession, notification_id: int, previous: Sequence[str], now: datetime
) -> bool:
    """Return True if a claim would find rows; polls check this before they write."""
    query = select(Delivery.id).where(
        Delivery.notification_id == notification_id, claimable_by(previous, now)
    )
    return await session.scalar(query.limit(1)) is not None


async def count_claimable(session: AsyncSession, notification_id: int, now: datetime) -> int:
    """Count the rows that can be sent now."""
    query = select(func.count()).where(Delivery.notification_id == notification_id, claimable(now))
    return int(await session.scalar(query) or 0)


async def open_broadcasts(
    session: AsyncSession, event_id: int, now: datetime, limit: int = 50
) -> list[BroadcastWork]:
    """Return the event's notifications with rows to send now, in the order of the requests.

    That is the order of their first rows, not of the notifications: the same `advance` may write
    a welcome that was requested before a message whose notification is older.
    """
    query = (
        select(Notification.id, func.count(Delivery.id))
        .join(Delivery, and_(Delivery.notification_id == Notification.id, claimable(now)))
        .where(Notification.event_id == event_id, Notification.completed_at.is_(None))
        .group_by(Notification.id)
        .order_by(func.min(Delivery.id))
        .limit(limit)
    )
    return [BroadcastWork(int(n), int(c)) for n, c in (await session.execute(query)).all()]


async def complete_if_done(
    session: AsyncSession, notification_id: int, now: datetime
) -> BroadcastState:
    """Complete the notification if nothing is claimable, sending or retrying; return its state."""
    notification = await expansion.lock(session, notification_id)
    if notification is None:
        return BroadcastState(completed=True, claimable=0, wait_seconds=None)
    ready, waiting = await _open(session, notification_id, now)
    if ready:
        open_now = and_(Delivery.notification_id == notification_id, claimable(now))
        await finish_unsendable(session, open_now, now)
        ready, waiting = await _open(session, notification_id, now)
    if not ready and waiting is None:
        notification.completed_at = notification.completed_at or now
        return BroadcastState(completed=True, claimable=0, wait_seconds=None)
    wait = 0.0 if waiting is None else max(0.0, (waiting - now).total_seconds())
    return BroadcastState(completed=False, claimable=ready, wait_seconds=wait)


async def _open(
    session: AsyncSession, notification_id: int, now: datetime
) -> tuple[int, datetime | None]:
    """Return how many rows can be sent now, and the instant at which the next one can."""
    soon = literal(now + RECHECK_AFTER, UtcDateTime())
    waiting_until = case(
        (and_(Delivery.state == DeliveryState.SENDING, Delivery.lease_until > soon), soon),
        (Delivery.state == DeliveryState.SENDING, Delivery.lease_until),
        else_=Delivery.next_attempt_at,
    )
    query = select(
        func.count().filter(claimable(now)),
        func.min(waiting_until).filter(~claimable(now)),
    ).where(
        Delivery.notification_id == notification_id,
        Delivery.state.in_((DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.RETRYING)),
    )
    row = (await session.execute(query)).one()
    return int(row[0]), row[1]


async def expire_overdue(session: AsyncSession, notification_id: int, now: datetime) -> int:
    """Expire rows that wait past their `expires_at`; return their number."""
    if await expansion.lock(session, notification_id) is None:
        return 0
    overdue = and_(
        Delivery.notification_id == notification_id,
        Delivery.state.in_((DeliveryState.PENDING, DeliveryState.RETRYING)),
        Delivery.expires_at <= now,
    )
    ended: Any = await session.execute(
        transition(DeliveryState.EXPIRED, overdue, outcome=Outcome.EXPIRED, **finished_values(now))
    )
    await complete_if_done(session, notification_id, now)
    return int(ended.rowcount)


async def retry_now(
    session: AsyncSession, user_id: int, target_key: str, now: datetime
) -> Sequence[int]:
    """Make the waiting rows of this target claimable; return the ids of their notifications."""
    waiting = (
        update(Delivery)
        .where(
            Delivery.user_id == user_id,
            Delivery.target_key == target_key,
            Delivery.state.in_((DeliveryState.PENDING, DeliveryState.RETRYING)),
            Delivery.next_attempt_at > now,
        )
        .values(next_attempt_at=now)
        .returning(Delivery.notification_id)
        .execution_options(synchronize_session=False)
    )
    return sorted(set((await session.scalars(waiting)).all()))


async def retry_failed(session: AsyncSession, notification_id: int, now: datetime) -> int:
    """Make failed rows that have not expired pending again, with all tries; return their number."""
    notification = await expansion.lock(session, notification_id)
    revived: Any = await session.execute(
        transition(
            DeliveryState.PENDING,
            Delivery.notification_id == notification_id,
            Delivery.state == DeliveryState.FAILED,
            or_(Delivery.expires_at.is_(None), Delivery.expires_at > now),
            attempts=0,
            claims=0,
            next_attempt_at=None,
            outcome=None,
            outcome_detail=None,
            finished_at=None,
            **NO_LEASE,
        )
    )
    if revived.rowcount and notification:
        notification.completed_at = None
    return int(revived.rowcount)
