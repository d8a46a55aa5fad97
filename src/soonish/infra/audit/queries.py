"""Read the audit log: a user's entries, an event's, or all."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.infra.db.models.audit import AuditEntry
from soonish.kit.paging import id_cursor
from soonish.kit.schemas import encode_cursor


def by_actor(user_id: int) -> ColumnElement[bool]:
    """Match the user's actions, and failed ones in their name."""
    return AuditEntry.actor_user_id == user_id


def of_event(event_id: int) -> ColumnElement[bool]:
    return AuditEntry.event_id == event_id


async def entries(
    session: AsyncSession, *conditions: ColumnElement[bool], limit: int, cursor: str | None
) -> tuple[Sequence[AuditEntry], str | None]:
    """Return a page of the matching entries, newest first, and its next_cursor.

    The caller checks that the user may see them.
    """
    query = select(AuditEntry).where(*conditions)
    if (before := id_cursor(cursor)) is not None:
        query = query.where(AuditEntry.id < before)
    rows = (await session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit + 1))).all()
    return rows[:limit], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None
