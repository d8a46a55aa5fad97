"""Housekeeping by the leading worker: expire messages, switch off channels, end subscriptions.

It needs only the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Select, String, literal, select, update

from soonish.delivery.channels import health
from soonish.delivery.ledger import completion
from soonish.delivery.ledger.account_mail import mail_owners
from soonish.domain.subscriptions.confirmation import LIFETIME
from soonish.infra.db.models.notifications import Delivery, DeliveryState
from soonish.infra.db.models.subscriptions import PENDING_CONFIRMATION, Subscription
from soonish.infra.db.session import Database

AT_ONCE = 500  # notifications, and channels, per run
CHANNELS = 50  # switched off per transaction
PAUSE_SECONDS = 0.02  # between transactions: SQLite's writers do not take fair turns
BATCH = 500  # subscriptions per transaction
BATCHES = 20  # per run
UNCONFIRMED = "unconfirmed"  # the end_reason
log = structlog.get_logger()


async def run(db: Database, now: datetime) -> None:
    """Do one run; the next run does what is left."""
    expired = await expire_overdue(db, now)
    switched_off = await switch_off_long_failing(db, now)
    if expired or switched_off:
        log.info("maintenance", expired_deliveries=expired, channels_switched_off=switched_off)
    if ended := await end_unconfirmed(db, now):
        log.info("maintenance", unconfirmed_subscriptions=ended)


async def expire_overdue(db: Database, now: datetime) -> int:
    """Expire overdue rows and complete their notifications; return the number of rows."""
    expired = 0
    for notification_id in await _overdue(db, now):
        async with db.write() as session:
            expired += await completion.expire_overdue(session, notification_id, now)
        await asyncio.sleep(PAUSE_SECONDS)
    return expired


async def switch_off_long_failing(db: Database, now: datetime) -> int:
    """Switch off long failing channels in several transactions; return their number."""
    total = 0
    while total < AT_ONCE:
        async with db.read() as session:
            if not await health.any_long_failing(session, now):
                break
        async with db.write() as session:
            done = await health.switch_off_long_failing(session, now, CHANNELS)
            await mail_owners(session, done)
        total += len(done)
        await asyncio.sleep(PAUSE_SECONDS)
        if not done:
            break
    return total


async def _overdue(db: Database, now: datetime) -> Sequence[int]:
    query = (
        select(Delivery.notification_id)
        .where(
            Delivery.state.in_((DeliveryState.PENDING, DeliveryState.RETRYING)),
            Delivery.expires_at <= now,
        )
        .distinct()
        .order_by(Delivery.notification_id)
        .limit(AT_ONCE)
    )
    async with db.read() as session:
        return (await session.scalars(query)).all()


async def end_unconfirmed(
    db: Database, now: datetime, *, batch: int = BATCH, batches: int = BATCHES
) -> int:
    """End subscriptions not confirmed within 7 days, silently; return their number."""
    total = 0
    for _ in range(batches):
        async with db.read() as session:
            if await session.scalar(_unconfirmed(now, 1)) is None:
                break
        async with db.write() as session:
            result: Any = await session.execute(
                update(Subscription)
                # Check again: on PostgreSQL somebody may confirm between the two SELECTs.
                .where(Subscription.id.in_(_unconfirmed(now, batch)), *_is_waiting())
                .values(ended_at=now, end_reason=UNCONFIRMED)
                .execution_options(synchronize_session=False)
            )
        total += int(result.rowcount)
        await asyncio.sleep(PAUSE_SECONDS)
    return total


def _unconfirmed(now: datetime, limit: int) -> Select[int]:
    return (
        select(Subscription.id)
        .where(*_is_waiting(), Subscription.created_at <= now - LIFETIME)
        .order_by(Subscription.created_at)
        .limit(limit)
    )


def _is_waiting() -> tuple[Any, ...]:
    # A literal, not a parameter, so that SQLite can use its partial index.
    waiting = literal(PENDING_CONFIRMATION, String, literal_execute=True)
    return Subscription.ended_at.is_(None), Subscription.status == waiting
