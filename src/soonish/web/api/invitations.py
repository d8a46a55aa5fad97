"""/api/events/{id}/invitations: for the event's organizers."""

from __future__ import annotations

from fastapi import APIRouter, status

from soonish.config import Settings
from soonish.domain.access import invitations, policy
from soonish.domain.access.schemas import InvitationInput, InvitationLink, InvitationOut, Invited
from soonish.identity import links
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event, Invitation
from soonish.infra.db.session import Session
from soonish.infra.db.types import utc_now
from soonish.kit.paging import id_cursor, page
from soonish.kit.schemas import Page
from soonish.web.deps import CurrentUser, DbDep, MailAllowanceDep, SettingsDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api/events/{event_id}/invitations", tags=["invitations"])


def invitation_out(invitation: Invitation, address: str | None) -> InvitationOut:
    fields = {name: getattr(invitation, name, None) for name in InvitationOut.model_fields}
    status = invitations.status_of(invitation, utc_now())
    return InvitationOut.model_validate(fields | {"address": address, "status": status})


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
    async with db.read() as session:
        await policy.require_organizer(session, event_id, user)
    muted = await allowance.take(wanted.emails or [])
    async with db.write() as session:
        event = await policy.require_organizer(session, event_id, user, lock="share")
        policy.require_open(event, utc_now())
        if wanted.emails:
            made = await invitations.create_by_mail(
                session, event, user, wanted, utc_now(), muted=muted
            )
            return Invited(items=[invitation_out(*one) for one in made])
        return await _make_link(session, event, user, wanted, settings)


async def _make_link(
    session: Session, event: Event, user: User, wanted: InvitationInput, settings: Settings
) -> InvitationLink:
    made, token = await invitations.create_link(session, event, user, wanted, utc_now())
    url = links.invitation_url(settings.base_url, event.slug, token)
    return InvitationLink(url=url, **invitation_out(made, None).model_dump())


@router.get("")
async def list_invitations(
    event_id: RowId, user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[InvitationOut]:
    """Newest first, revoked and used ones too; never with their links."""
    async with db.read() as session:
        event = await policy.require_organizer(session, event_id, user)
        rows = await invitations.list_invitations(session, event, limit + 1, id_cursor(cursor))
    shown, following = page(rows, limit, lambda row: row[0].id)
    return Page(items=[invitation_out(*one) for one in shown], next_cursor=following)


@router.delete("/{invitation_id}", status_code=status.HTTP_204_NO_CONTENT)
async def revoke(event_id: RowId, invitation_id: RowId, user: CurrentUser, db: DbDep) -> None:
    """Nobody is let in by it any more; who is subscribed stays."""
    async with db.write() as session:
        event = await policy.require_organizer(session, event_id, user, lock="share")
        await invitations.revoke(session, event, user, invitation_id, utc_now())
