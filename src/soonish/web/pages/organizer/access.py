"""Who may come and who helps, on the organizer's page: requests, invitations, many at once,
co-organizers."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import Response as Answer

from soonish.config import Settings
from soonish.domain.access.schemas import (
    InvitationInput,
    InvitationLink,
    OrganizerInput,
    TransferInput,
)
from soonish.domain.subscriptions import bulk
from soonish.errors import Forbidden, NotFound, SoonishError
from soonish.i18n import _
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database
from soonish.web.api import invitations, organizers, subscriptions_bulk
from soonish.web.deps import CurrentUser, DbDep, MailAllowanceDep, SettingsDep
from soonish.web.pages.organizer.layout import PAGE_SIZE, own_event, section
from soonish.web.params import MAX_PAGE, RowId
from soonish.web.rendering.forms import Form, parse, read_form
from soonish.web.rendering.templating import redirect

router = APIRouter(prefix="/events/{event_id}", include_in_schema=False)


@router.get("/access")
async def access(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Answer:
    """Invitations, addresses to add, and for the owner the co-organizers."""
    return await _page(request, event_id, user, db, settings, Form())


@router.get("/invite")
@router.get("/add")
@router.get("/organizers")
@router.get("/transfer")
async def back_to_form(event_id: RowId) -> Answer:
    """A reload of what one of the page's forms was answered with."""
    return redirect(f"/events/{event_id}/access")


@router.post("/subscribers/{subscription_id}/approve")
async def approve(event_id: RowId, subscription_id: RowId, user: CurrentUser, db: DbDep) -> Answer:
    await subscriptions_bulk.approve(event_id, subscription_id, user, db)
    return redirect(f"/events/{event_id}/subscribers", "subscriber_approved")


@router.post("/subscribers/{subscription_id}/reject")
async def reject(event_id: RowId, subscription_id: RowId, user: CurrentUser, db: DbDep) -> Answer:
    await subscriptions_bulk.reject(event_id, subscription_id, user, db)
    return redirect(f"/events/{event_id}/subscribers", "subscriber_rejected")


@router.post("/invite")
async def invite(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    allowance: MailAllowanceDep,
) -> Answer:
    """By mail to the addresses, or a link to pass on, which is shown this once."""
    form = await read_form(request)
    try:
        wanted = _invitation(form)
        made = await invitations.invite(event_id, wanted, user, db, settings, allowance)
    except (NotFound, Forbidden):
        raise
    except SoonishError as error:
        return await _page(request, event_id, user, db, settings, form.failed(error))
    if isinstance(made, InvitationLink):
        return await _page(request, event_id, user, db, settings, Form(), link=made.url)
    return redirect(f"/events/{event_id}/access", "invited")


@router.post("/invitations/{invitation_id}/revoke")
async def revoke(event_id: RowId, invitation_id: RowId, user: CurrentUser, db: DbDep) -> Answer:
    await invitations.revoke(event_id, invitation_id, user, db)
    return redirect(f"/events/{event_id}/access", "invitation_revoked")


@router.post("/add")
async def add_many(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    allowance: MailAllowanceDep,
) -> Answer:
    """Addresses that were pasted, one a line or as CSV; each gets a mail that asks to confirm."""
    form = await read_form(request)
    await own_event(event_id, user, db, settings)
    try:
        rows = subscriptions_bulk.read_csv(form.value("addresses").encode())
        muted = await subscriptions_bulk.stamps(allowance, "add", rows)
        results = await bulk.run(db, event_id, user, "add", rows, muted=muted)
    except (NotFound, Forbidden):
        raise
    except SoonishError as error:
        form.errors["addresses"] = str(error.detail)
        return await _page(request, event_id, user, db, settings, form)
    return await _page(request, event_id, user, db, settings, Form(), results=results)


@router.post("/organizers")
async def add_organizer(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    allowance: MailAllowanceDep,
) -> Answer:
    form = await read_form(request)
    try:
        wanted = parse(OrganizerInput, {"email": form.value("co_organizer")})
        await organizers.add_organizer(event_id, wanted, user, db, allowance, Response())
    except (NotFound, Forbidden):
        raise
    except SoonishError as error:
        failed = form.failed(error)
        return await _page(request, event_id, user, db, settings, _named(failed, "co_organizer"))
    return redirect(f"/events/{event_id}/access", "organizer_added")


@router.post("/organizers/{user_id}/remove")
async def remove_organizer(event_id: RowId, user_id: RowId, user: CurrentUser, db: DbDep) -> Answer:
    await organizers.remove_organizer(event_id, user_id, user, db)
    return redirect(f"/events/{event_id}/access", "organizer_removed")


@router.post("/transfer")
async def transfer(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    allowance: MailAllowanceDep,
) -> Answer:
    form = await read_form(request)
    try:
        wanted = parse(TransferInput, {"email": form.value("new_owner")})
        await organizers.transfer(event_id, wanted, user, db, settings, allowance)
    except (NotFound, Forbidden):
        raise
    except SoonishError as error:
        failed = form.failed(error)
        return await _page(request, event_id, user, db, settings, _named(failed, "new_owner"))
    return redirect(f"/events/{event_id}/access", "transferred")


def _invitation(form: Form) -> InvitationInput:
    """The form as the API's input; addresses are apart by space, comma, semicolon or line."""
    emails = [one for one in re.split(r"[\s,;]+", form.value("emails")) if one]
    uses = form.value("max_uses")
    return parse(
        InvitationInput,
        {
            "emails": emails or None,
            "max_uses": int(uses) if uses.isascii() and uses.isdigit() else uses or None,
            "expires_at": form.instant("expires_at", form.value("timezone", "UTC")),
            "needs_approval": form.value("needs_approval") == "1",
        },
    )


def _named(form: Form, field: str) -> Form:
    """What the API says about `email` belongs to this field here."""
    if "email" in form.errors:
        form.errors[field] = form.errors.pop("email")
    elif "body" in form.errors:
        form.errors[field] = form.errors.pop("body")
    return form


async def _page(
    request: Request,
    event_id: int,
    user: User,
    db: Database,
    settings: Settings,
    form: Form,
    **shown: Any,
) -> Answer:
    event = await own_event(event_id, user, db, settings)
    is_owner = event.owner_user_id == user.id
    found = await invitations.list_invitations(event_id, user, db, PAGE_SIZE)
    helpers = await organizers.list_organizers(event_id, user, db, MAX_PAGE) if is_owner else None
    return section(
        request,
        user,
        event,
        "access",
        _("Invite and add people"),
        tab="people",
        status=422 if form.errors else 200,
        form=form,
        invitations=found.items,
        organizers=helpers.items if helpers else [],
        **({"link": "", "results": []} | shown),
    )
