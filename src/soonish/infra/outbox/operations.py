"""Looking after the outbox by hand: how it stands, and having rows tried again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.infra.db.models.outbox import OutboxRow

AT_ONCE = 500  # streams that one poke names


@dataclass(frozen=True)
class Undone:
    """Undone rows of one kind: how many, the oldest, and the last error of any of them."""

    kind: str
    rows: int
    oldest: datetime
    error: str | None


async def undone_by_kind(session: AsyncSession) -> list[Undone]:
    """What Temporal must still be told, oldest kind first."""
    oldest = func.min(OutboxRow.created_at)
    query = (
        select(OutboxRow.kind, func.count(), oldest, func.max(OutboxRow.error))
        .where(OutboxRow.done_at.is_(None))
        .group_by(OutboxRow.kind)
        .order_by(oldest)
    )
    return [Undone(*row) for row in await session.execute(query)]


async def failed(session: AsyncSession, limit: int = 100) -> Sequence[OutboxRow]:
    """Rows that `advance` could not take and put aside, newest first."""
    query = select(OutboxRow).where(_has_failed()).order_by(OutboxRow.id.desc()).limit(limit)
    return (await session.scalars(query)).all()


async def is_untold(session: AsyncSession, streams: Collection[str]) -> bool:
    """Whether Temporal was not reached for any of these streams."""
    query = select(OutboxRow.id).where(
        OutboxRow.stream.in_(list(streams)[:AT_ONCE]),
        OutboxRow.done_at.is_(None),
        OutboxRow.poked_at.is_(None),
    )
    return await session.scalar(query.limit(1)) is not None


async def release(session: AsyncSession) -> list[str]:
    """Forget when undone rows were last poked; the streams to poke now, at most 500."""
    undone = OutboxRow.done_at.is_(None)
    await session.execute(update(OutboxRow).where(undone).values(poked_at=None))
    query = select(OutboxRow.stream).where(undone).group_by(OutboxRow.stream).limit(AT_ONCE)
    return list(await session.scalars(query))


async def revive_failed(session: AsyncSession) -> int:
    """Make the rows undone again that were put aside with an error; how many."""
    query = (
        update(OutboxRow)
        .where(_has_failed())
        .values(done_at=None, poked_at=None, error=None)
        .returning(OutboxRow.id)
    )
    return len((await session.scalars(query)).all())


def _has_failed() -> ColumnElement[bool]:
    return and_(OutboxRow.done_at.is_not(None), OutboxRow.error.is_not(None))
