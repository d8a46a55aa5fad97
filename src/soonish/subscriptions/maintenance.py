"""What time alone settles: subscriptions that were never confirmed end.

Run by the leader of the workers; needs the database only.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Select, literal, select, update

from soonish.db.session import Database
from soonish.subscriptions.confirmation import LIFETIME
from soonish.subscriptions.models import PENDING_CONFIRMATION, Subscription

BATCH = 500  # subscriptions of one transaction
BATCHES = 20  # of one turn
PAUSE_SECONDS = 0.02  # between transactions: SQLite's writers do not take fair turns (DESIGN 3)
UNCONFIRMED = "unconfirmed"  # the end_reason
log = structlog.get_logger()


async def run(db: Database, now: datetime) -> None:
    """One turn; what it leaves is the next one's."""
    if ended := await end_unconfirmed(db, now):
        log.info("maintenance", unconfirmed_subscriptions=ended)


async def end_unconfirmed(db: Database, now: datetime) -> int:
    """End what was asked for 7 days ago and never confirmed, telling nobody; how many."""
    total = 0
    for _ in range(BATCHES):
        async with db.read() as session:
            if await session.scalar(_overdue(now, 1)) is None:
                break
        async with db.write() as session:
            result: Any = await session.execute(
                update(Subscription)
                # both again: on PostgreSQL somebody may confirm between the two SELECTs
                .where(Subscription.id.in_(_overdue(now, BATCH)), *_is_waiting())
                .values(ended_at=now, end_reason=UNCONFIRMED)
                .execution_options(synchronize_session=False)
            )
        total += int(result.rowcount)
        await asyncio.sleep(PAUSE_SECONDS)
    return total


def _overdue(now: datetime, limit: int) -> Select[int]:
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
