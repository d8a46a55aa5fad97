"""The history of an event: its public update log, and the audit log for its organizers."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.access import policy
from soonish.infra.audit import queries as audit
from soonish.infra.audit.schemas import AuditEntryOut
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.models.events import Event, EventUpdate
from soonish.infra.db.sql import newest_page
from soonish.kit.schemas import Page

_ANNOUNCEMENT = "announcement"  # an entry about the event that does not change it


async def visible_updates(
    session: AsyncSession,
    event_id: int,
    user: User | None,
    invitation: str | None = None,
    *,
    limit: int,
    cursor: str | None = None,
) -> tuple[list[EventUpdate], str | None]:
    """Return a page as list_updates does, if the user may see the event."""
    event = await policy.require_visible(session, event_id, user, invitation=invitation)
    return await list_updates(session, event, limit=limit, cursor=cursor)


async def list_updates(
    session: AsyncSession, event: Event, *, limit: int, cursor: str | None
) -> tuple[list[EventUpdate], str | None]:
    """Return a page of the update log, newest first, and its next_cursor."""
    query = select(EventUpdate).where(EventUpdate.event_id == event.id)
    return await newest_page(session, query, EventUpdate, limit, cursor)


async def count_changes(session: AsyncSession, event_id: int) -> int:
    """Return the number of changes to the event: its update log without announcements."""
    changes = select(func.count()).where(
        EventUpdate.event_id == event_id, EventUpdate.category != _ANNOUNCEMENT
    )
    return await session.scalar(changes) or 0


async def audit_log(
    session: AsyncSession, event_id: int, user: User, *, limit: int, cursor: str | None
) -> Page[AuditEntryOut]:
    """Return a page of the event's audit log for its organizers, newest first."""
    event = await policy.require_organizer(session, event_id, user)
    rows, following = await audit.entries(
        session, audit.of_event(event.id), limit=limit, cursor=cursor
    )
    return Page(items=[_seen_by(user, row) for row in rows], next_cursor=following)


def _seen_by(user: User, row: AuditEntry) -> AuditEntryOut:
    """Return the entry, without the network address if it is not the user's own."""
    entry = AuditEntryOut.model_validate(row)
    return entry if row.actor_user_id == user.id else entry.model_copy(update={"client": None})
