"""Routes of the audit log: one's own entries, and an event's for its organizers."""

from __future__ import annotations

from fastapi import APIRouter

from soonish.domain.events import history
from soonish.infra.audit import queries
from soonish.infra.audit.schemas import AuditEntryOut
from soonish.kit.schemas import Page
from soonish.web.deps import CurrentUser, DbDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api", tags=["audit"])


@router.get("/users/me/audit")
async def list_own(
    user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[AuditEntryOut]:
    """List the caller's actions, including failed ones, newest first."""
    async with db.read() as session:
        return await queries.list_own(session, user.id, limit=limit, cursor=cursor)


@router.get("/events/{event_id}/audit")
async def list_of_event(
    event_id: RowId, user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[AuditEntryOut]:
    """Everything that was done to the event and its subscriptions, newest first."""
    async with db.read() as session:
        return await history.audit_log(session, event_id, user, limit=limit, cursor=cursor)
