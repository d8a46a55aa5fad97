"""Reading the audit log: one's own entries, an event's, all."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.infra.audit.schemas import AuditEntryOut
from soonish.infra.db.models.audit import AuditEntry
from soonish.kit.paging import id_cursor
from soonish.kit.schemas import Page, encode_cursor


def by_actor(user_id: int) -> ColumnElement[bool]:
    """What this user did, and what failed in their name."""
    return AuditEntry.actor_user_id == user_id


def of_event(event_id: int) -> ColumnElement[bool]:
    return AuditEntry.event_id == event_id


async def list_own(
    session: AsyncSession, user_id: int, *, limit: int, cursor: str | None = None
) -> Page[AuditEntryOut]:
    """A page of what was done in the user's name, also what failed, newest first."""
    rows, following = await entries(session, by_actor(user_id), limit=limit, cursor=cursor)
    return Page(items=[AuditEntryOut.model_validate(row) for row in rows], next_cursor=following)


async def entries(
    session: AsyncSession, *conditions: ColumnElement[bool], limit: int, cursor: str | None
) -> tuple[Sequence[AuditEntry], str | None]:
    """A page of the entries that meet the conditions (none: all), newest first, and its
    next_cursor. Whether the asker may see them is the caller's business."""
    query = select(AuditEntry).where(*conditions)
    if (before := id_cursor(cursor)) is not None:
        query = query.where(AuditEntry.id < before)
    rows = (await session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit + 1))).all()
    return rows[:limit], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None
