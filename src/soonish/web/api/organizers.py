"""/api/events/{id}/organizers and /transfer: for the event's owner."""

from __future__ import annotations

from fastapi import APIRouter, Response, status

from soonish.domain.access import organizers
from soonish.domain.access.schemas import OrganizerInput, OrganizerOut, TransferInput
from soonish.domain.events import queries
from soonish.domain.events.schemas import EventOut
from soonish.kit.schemas import Page
from soonish.web.deps import CurrentUser, DbDep, MailAllowanceDep, SettingsDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api/events/{event_id}", tags=["organizers"])


@router.get("/organizers")
async def list_organizers(
    event_id: RowId, user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[OrganizerOut]:
    """List the owner, then the co-organizers in the order they were added."""
    async with db.read() as session:
        return await organizers.list_organizers(session, event_id, user, limit=limit, cursor=cursor)


@router.post(
    "/organizers",
    status_code=status.HTTP_201_CREATED,
    responses={200: {"model": OrganizerOut, "description": "A co-organizer already"}},
)
async def add_organizer(
    event_id: RowId,
    wanted: OrganizerInput,
    user: CurrentUser,
    db: DbDep,
    allowance: MailAllowanceDep,
    response: Response,
) -> OrganizerOut:
    """Make an address a co-organizer; it is told by mail and has its rights once it signs in."""
    made, is_new = await organizers.add(db, allowance, event_id, user, wanted.email)
    response.status_code = 201 if is_new else 200
    return made


@router.delete("/organizers/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_organizer(event_id: RowId, user_id: RowId, user: CurrentUser, db: DbDep) -> None:
    async with db.write() as session:
        await organizers.remove(session, event_id, user, user_id)


@router.post("/transfer")
async def transfer(
    event_id: RowId,
    wanted: TransferInput,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    allowance: MailAllowanceDep,
) -> EventOut:
    """Hand the event over to another account; you stay as a co-organizer."""
    await organizers.transfer(db, allowance, event_id, user, wanted.email)
    async with db.read() as session:
        found = await queries.organized(session, event_id, user)
    return EventOut.of(found, settings)
