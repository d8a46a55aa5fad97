"""/api/events/{id}/invitations: for the event's organizers."""

from __future__ import annotations

from fastapi import APIRouter, status

from soonish.domain.access import invitations
from soonish.domain.access.schemas import InvitationInput, InvitationLink, InvitationOut, Invited
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import Page
from soonish.web.deps import CurrentUser, DbDep, MailAllowanceDep, SettingsDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api/events/{event_id}/invitations", tags=["invitations"])


@router.post("", status_code=status.HTTP_201_CREATED)
async def invite(
    event_id: RowId,
    wanted: InvitationInput,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    allowance: MailAllowanceDep,
) -> InvitationLink | Invited:
    """With `emails` each address gets a mail with a link of its own (`items`); without them the
    answer is one link to pass on, whose `url` is shown this once."""
    base_url = settings.base_url
    return await invitations.invite(db, allowance, event_id, user, wanted, base_url=base_url)


@router.get("")
async def list_invitations(
    event_id: RowId, user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[InvitationOut]:
    """Newest first, revoked and used ones too; never with their links."""
    async with db.read() as session:
        return await invitations.list_invitations(
            session, event_id, user, limit=limit, cursor=cursor
        )


@router.delete("/{invitation_id}", status_code=status.HTTP_204_NO_CONTENT)
async def revoke(event_id: RowId, invitation_id: RowId, user: CurrentUser, db: DbDep) -> None:
    """Nobody is let in by it any more; who is subscribed stays."""
    async with db.write() as session:
        await invitations.revoke(session, event_id, user, invitation_id, utc_now())
