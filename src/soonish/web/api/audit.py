"""Routes of the audit log: one's own entries, and an event's for its organizers."""

from __future__ import annotations

from fastapi import APIRouter

from soonish.domain.access import policy
from soonish.infra.audit import queries
from soonish.infra.audit.schemas import AuditEntryOut
from soonish.infra.db.models.audit import AuditEntry
from soonish.kit.schemas import Page
from soonish.web.deps import CurrentUser, DbDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api", tags=["audit"])


@router.get("/users/me/audit")
async def list_own(
    user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[AuditEntryOut]:
    """What was done in one's name, also what failed, newest first."""
    async with db.read() as session:
        rows, following = await queries.entries(
            session, queries.by_actor(user.id), limit=limit, cursor=cursor
        )
    return Page(items=[AuditEntryOut.model_validate(row) for row in rows], next_cursor=following)


@router.get("/events/{event_id}/audit")
async def list_of_event(
    event_id: RowId, user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[AuditEntryOut]:
    """Everything that was done to the event and its subscriptions, newest first."""
    async with db.read() as session:
        event = await policy.require_organizer(session, event_id, user)
        rows, following = await queries.entries(
            session, queries.of_event(event.id), limit=limit, cursor=cursor
        )
    return Page(items=[_seen_by(user.id, row) for row in rows], next_cursor=following)


def _seen_by(user_id: int, row: AuditEntry) -> AuditEntryOut:
    """Where others connected from is not the organizer's business."""
    entry = AuditEntryOut.model_validate(row)
    return entry if row.actor_user_id == user_id else entry.model_copy(update={"client": None})
