"""Writing to the outbox, in the transaction of what is announced, and taking from it.

See docs/architecture.md#outbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.session import NUDGES
from soonish.infra.db.types import utc_now

TAKE = 500  # rows an advance takes, and items a signal carries, at most


def add(session: AsyncSession, stream: str, kind: str, payload: dict[str, Any]) -> None:
    """Note that the stream has work of this kind. The payload holds ids only, never texts."""
    session.add(OutboxRow(stream=stream, kind=kind, payload=payload))
    session.info.setdefault(NUDGES, set()).add(stream)


async def undone(session: AsyncSession, stream: str, limit: int = TAKE) -> Sequence[OutboxRow]:
    """The stream's undone rows in id order, locked."""
    query = (
        select(OutboxRow)
        .where(OutboxRow.stream == stream, OutboxRow.done_at.is_(None))
        .order_by(OutboxRow.id)
        .limit(limit)
        .with_for_update()
    )
    return (await session.scalars(query)).all()


def finish_rows(rows: Iterable[OutboxRow], now: datetime) -> None:
    """These were done: an error that stays on a done row means that it was put aside."""
    for row in rows:
        row.done_at, row.error = now, None


async def finish(session: AsyncSession, stream: str) -> None:
    """Mark every undone row of the stream done: its workflow has looked into the database."""
    await session.execute(
        update(OutboxRow)
        .where(OutboxRow.stream == stream, OutboxRow.done_at.is_(None))
        .values(done_at=utc_now(), error=None)
    )
