"""Write to the outbox, in the transaction of the announced change, and read it.

See docs/architecture.md#outbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.session import ANNOUNCED_STREAMS
from soonish.infra.db.types import utc_now

TAKE = 500  # the maximum of rows per `Advance`, and of items per signal


def add(session: AsyncSession, stream: str, kind: str, payload: dict[str, Any]) -> None:
    """Add work of this kind for the stream. The payload holds only ids, never texts."""
    session.add(OutboxRow(stream=stream, kind=kind, payload=payload))
    session.info.setdefault(ANNOUNCED_STREAMS, set()).add(stream)


async def undone(session: AsyncSession, stream: str, limit: int = TAKE) -> Sequence[OutboxRow]:
    """Lock and return the stream's undone rows in id order."""
    query = (
        select(OutboxRow)
        .where(OutboxRow.stream == stream, OutboxRow.done_at.is_(None))
        .order_by(OutboxRow.id)
        .limit(limit)
        .with_for_update()
    )
    return (await session.scalars(query)).all()


def finish_rows(rows: Iterable[OutboxRow], now: datetime) -> None:
    """Mark rows done without an error; a done row with an error was put aside."""
    for row in rows:
        row.done_at, row.error = now, None


async def finish(session: AsyncSession, stream: str) -> None:
    """Mark every undone row of the stream done, after its workflow has read the database."""
    await session.execute(
        update(OutboxRow)
        .where(OutboxRow.stream == stream, OutboxRow.done_at.is_(None))
        .values(done_at=utc_now(), error=None)
    )
