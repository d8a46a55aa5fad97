"""What time alone settles: messages that came too late, channels that failed for too long.

Run by the leader of the workers; needs the database only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import select

from soonish.db.session import Database
from soonish.integrations import channel_health
from soonish.notifications import settling
from soonish.notifications.models import Delivery, State

AT_ONCE = 500  # notifications, and channels, of one turn
CHANNELS = 50  # that one transaction switches off
PAUSE_SECONDS = 0.02  # between transactions: SQLite's writers do not take fair turns (DESIGN 3)
log = structlog.get_logger()


async def run(db: Database, now: datetime) -> None:
    """One turn; what it leaves is the next one's."""
    expired = await expire_overdue(db, now)
    switched_off = await switch_off_long_failing(db, now)
    if expired or switched_off:
        log.info("maintenance", expired_deliveries=expired, channels_switched_off=switched_off)


async def expire_overdue(db: Database, now: datetime) -> int:
    """Mark rows that wait past their `expires_at` and complete their notifications; how many."""
    expired = 0
    for notification_id in await _overdue(db, now):
        async with db.write() as session:
            expired += await settling.expire_overdue(session, notification_id, now)
        await asyncio.sleep(PAUSE_SECONDS)
    return expired


async def switch_off_long_failing(db: Database, now: datetime) -> int:
    """As channel_health does, in several transactions; how many channels."""
    total = 0
    while total < AT_ONCE:
        async with db.read() as session:
            if not await channel_health.any_long_failing(session, now):
                break
        async with db.write() as session:
            done = await channel_health.switch_off_long_failing(session, now, CHANNELS)
        total += done
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
