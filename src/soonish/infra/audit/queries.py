"""Reading the audit log: one's own entries, an event's, all."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.sql import newest_page


def by_actor(user_id: int) -> ColumnElement[bool]:
    """What this user did, and what failed in their name."""
    return AuditEntry.actor_user_id == user_id


def of_event(event_id: int) -> ColumnElement[bool]:
    return AuditEntry.event_id == event_id


async def entries(
    session: AsyncSession, *conditions: ColumnElement[bool], limit: int, cursor: str | None
) -> tuple[Sequence[AuditEntry], str | None]:
    """A page of the entries that meet the conditions (none: all), newest first, and its
    next_cursor. Whether the asker may see them is the caller's business."""
    query = select(AuditEntry).where(*conditions)
    return await newest_page(session, query, AuditEntry, limit, cursor)
