"""Read the audit log: a user's entries, an event's, or all."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.infra.audit.schemas import AuditEntryOut
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.sql import newest_page
from soonish.kit.schemas import Page


def by_actor(user_id: int) -> ColumnElement[bool]:
    """Match the user's actions, and failed ones in their name."""
    return AuditEntry.actor_user_id == user_id


def of_event(event_id: int) -> ColumnElement[bool]:
    return AuditEntry.event_id == event_id


async def list_own(
    session: AsyncSession, user_id: int, *, limit: int, cursor: str | None = None
) -> Page[AuditEntryOut]:
    """Return a page of the user's actions and failed ones in their name, newest first."""
    rows, following = await entries(session, by_actor(user_id), limit=limit, cursor=cursor)
    return Page(items=[AuditEntryOut.model_validate(row) for row in rows], next_cursor=following)


async def entries(
    session: AsyncSession, *conditions: ColumnElement[bool], limit: int, cursor: str | None
) -> tuple[Sequence[AuditEntry], str | None]:
    """Return a page of the matching entries, newest first, and its next_cursor.

    The caller checks that the user may see them.
    """
    query = select(AuditEntry).where(*conditions)
    return await newest_page(session, query, AuditEntry, limit, cursor)
