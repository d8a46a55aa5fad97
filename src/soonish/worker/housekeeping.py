"""Housekeeping by the leading worker: expire messages, switch off channels, end subscriptions.

Needs the database only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Select, literal, select, update

from soonish.delivery.channels import health
from soonish.delivery.ledger import completion
from soonish.delivery.ledger.owner_mail import mail_owners
from soonish.domain.subscriptions.confirmation import LIFETIME
from soonish.infra.db.models.notifications import Delivery, State
from soonish.infra.db.models.subscriptions import PENDING_CONFIRMATION, Subscription
from soonish.infra.db.session import Database

AT_ONCE = 500  # notifications, and channels, of one turn
CHANNELS = 50  # that one transaction switches off
PAUSE_SECONDS = 0.02  # between transactions: SQLite's writers do not take fair turns (DESIGN 3)
BATCH = 500  # subscriptions of one transaction
BATCHES = 20  # of one turn
UNCONFIRMED = "unconfirmed"  # the end_reason
log = structlog.get_logger()


async def run(db: Database, now: datetime) -> None:
    """One turn; what it leaves is the next one's."""
    expired = await expire_overdue(db, now)
    switched_off = await switch_off_long_failing(db, now)
    if expired or switched_off:
        log.info("maintenance", expired_deliveries=expired, channels_switched_off=switched_off)
    if ended := await end_unconfirmed(db, now):
        log.info("maintenance", unconfirmed_subscriptions=ended)


async def expire_overdue(db: Database, now: datetime) -> int:
    """Mark rows that wait past their `expires_at` and complete their notifications; how many."""
    expired = 0
    for notification_id in await _overdue(db, now):
        async with db.write() as session:
            expired += await completion.expire_overdue(session, notification_id, now)
        await asyncio.sleep(PAUSE_SECONDS)
    return expired


async def switch_off_long_failing(db: Database, now: datetime) -> int:
    """As channel_health does, in several transactions; how many channels."""
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
        .where(Delivery.state.in_((State.PENDING, State.RETRYING)), Delivery.expires_at <= now)
        .distinct()
        .order_by(Delivery.notification_id)
        .limit(AT_ONCE)
    )
    async with db.read() as session:
        return (await session.scalars(query)).all()


async def end_unconfirmed(
    db: Database, now: datetime, *, batch: int = BATCH, batches: int = BATCHES
) -> int:
    """End what was asked for 7 days ago and never confirmed, telling nobody; how many."""
    total = 0
    for _ in range(batches):
        async with db.read() as session:
            if await session.scalar(_unconfirmed(now, 1)) is None:
                break
        async with db.write() as session:
            result: Any = await session.execute(
                update(Subscription)
                # both again: on PostgreSQL somebody may confirm between the two SELECTs
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
    # written out in the statement, so that SQLite sees that its partial index fits
    waiting = literal(PENDING_CONFIRMATION, literal_execute=True)
    return Subscription.ended_at.is_(None), Subscription.status == waiting
