"""Read the audit log: a user's entries, an event's, or all."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.sql import newest_page


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
    return await newest_page(session, query, AuditEntry, limit, cursor)
