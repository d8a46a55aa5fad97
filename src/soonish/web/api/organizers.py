"""/api/events/{id}/organizers and /transfer: for the event's owner."""

from __future__ import annotations

from fastapi import APIRouter, Response, status

from soonish.domain.access import organizers, policy
from soonish.domain.access.organizers import Organizer
from soonish.domain.access.schemas import OrganizerInput, OrganizerOut, TransferInput
from soonish.domain.events import queries
from soonish.domain.events.schemas import EventOut
from soonish.infra.db.types import utc_now
from soonish.infra.rate_limits.limits import TRANSFER
from soonish.kit.paging import id_cursor, page
from soonish.kit.schemas import Page
from soonish.web.api.events import event_out
from soonish.web.deps import CurrentUser, DbDep, MailAllowanceDep, SettingsDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api/events/{event_id}", tags=["organizers"])


def organizer_out(one: Organizer) -> OrganizerOut:
    return OrganizerOut(
        user_id=one.user.id,
        name=one.user.name,
        address=one.user.email,
        role=one.role,
        created_at=one.since,
    )


@router.get("/organizers")
async def list_organizers(
    event_id: RowId, user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[OrganizerOut]:
    """The owner, then the co-organizers as they were added."""
    before = id_cursor(cursor)
    async with db.read() as session:
        event = await policy.require_owner(session, event_id, user)
        found = await organizers.list_organizers(session, event)
    rest = [one for one in found if before is None or one.row_id > before]
    shown, following = page(rest, limit, lambda one: one.row_id)
    return Page(items=[organizer_out(one) for one in shown], next_cursor=following)


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
    async with db.read() as session:
        await policy.require_owner(session, event_id, user)
    full = await allowance.take([wanted.email])
    async with db.write() as session:
        event = await policy.require_owner(session, event_id, user, lock="update")
        made, is_new = await organizers.add(
            session, event, user, wanted.email, utc_now(), muted=bool(full)
        )
    response.status_code = 201 if is_new else 200
    return organizer_out(made)


@router.delete("/organizers/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_organizer(event_id: RowId, user_id: RowId, user: CurrentUser, db: DbDep) -> None:
    async with db.write() as session:
        event = await policy.require_owner(session, event_id, user, lock="update")
        await organizers.remove(session, event, user, user_id)


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
    async with db.read() as session:
        await policy.require_owner(session, event_id, user)
    await allowance.meter.require(TRANSFER, str(user.id))  # the answer tells who has an account
    full = await allowance.take([wanted.email])
    async with db.write() as session:
        event = await policy.require_owner(session, event_id, user, lock="update")
        await organizers.transfer(session, event, user, wanted.email, utc_now(), muted=bool(full))
        found = await queries.details_of(session, event)
    return event_out(found, settings)
