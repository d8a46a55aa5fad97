"""Inspect the outbox, and retry its rows, for the command line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.infra.db.models.outbox import OutboxRow

AT_ONCE = 500  # streams of one call


@dataclass(frozen=True)
class UndoneRows:
    """The undone rows of one kind: their number, the oldest, and an error if there is one."""

    kind: str
    rows: int
    oldest: datetime
    error: str | None


async def undone_by_kind(session: AsyncSession) -> list[UndoneRows]:
    """Return the undone rows by kind, oldest first."""
    oldest = func.min(OutboxRow.created_at)
    query = (
        select(OutboxRow.kind, func.count(), oldest, func.max(OutboxRow.error))
        .where(OutboxRow.done_at.is_(None))
        .group_by(OutboxRow.kind)
        .order_by(oldest)
    )
    return [UndoneRows(*row) for row in await session.execute(query)]


async def failed_rows(session: AsyncSession, limit: int = 100) -> Sequence[OutboxRow]:
    """Return the rows that `Advance` could not process and put aside, newest first."""
    query = select(OutboxRow).where(_has_failed()).order_by(OutboxRow.id.desc()).limit(limit)
    return (await session.scalars(query)).all()


async def has_unpoked(session: AsyncSession, streams: Collection[str]) -> bool:
    """Return True if any of these streams has an undone row that Temporal was not poked for."""
    query = select(OutboxRow.id).where(
        OutboxRow.stream.in_(list(streams)[:AT_ONCE]),
        OutboxRow.done_at.is_(None),
        OutboxRow.poked_at.is_(None),
    )
    return await session.scalar(query.limit(1)) is not None


async def reset_pokes(session: AsyncSession) -> list[str]:
    """Make undone rows due for a poke; return the streams to poke now, at most 500."""
    undone = OutboxRow.done_at.is_(None)
    await session.execute(update(OutboxRow).where(undone).values(poked_at=None))
    query = select(OutboxRow.stream).where(undone).group_by(OutboxRow.stream).limit(AT_ONCE)
    return list(await session.scalars(query))


async def retry_failed_rows(session: AsyncSession) -> int:
    """Make rows that were put aside with an error undone again; return their number."""
    query = (
        update(OutboxRow)
        .where(_has_failed())
        .values(done_at=None, poked_at=None, error=None)
        .returning(OutboxRow.id)
    )
    return len((await session.scalars(query)).all())


def _has_failed() -> ColumnElement[bool]:
    return and_(OutboxRow.done_at.is_not(None), OutboxRow.error.is_not(None))
