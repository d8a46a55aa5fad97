"""Who may come and who helps, on the organizer's page: requests, invitations, many at once,
co-organizers."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.domain.access import invitations, organizers
from soonish.domain.access.schemas import (
    InvitationInput,
    InvitationLink,
    OrganizerInput,
    OrganizerOut,
    TransferInput,
)
from soonish.domain.subscriptions import approval, bulk
from soonish.domain.subscriptions.bulk_csv import read_csv
from soonish.errors import Forbidden, NotFound, SoonishError
from soonish.i18n import _
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.web.deps import CurrentUser, DbDep, MailAllowanceDep, SettingsDep
from soonish.web.pages.organizer.layout import PAGE_SIZE, own_event, section
from soonish.web.params import MAX_PAGE, RowId
from soonish.web.rendering.forms import Form, parse, read_form
from soonish.web.rendering.templating import redirect

router = APIRouter(prefix="/events/{event_id}", include_in_schema=False)


@router.get("/access")
async def access(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """Invitations, addresses to add, and for the owner the co-organizers."""
    return await _page(request, event_id, user, db, settings, Form())


@router.get("/invite")
@router.get("/add")
@router.get("/organizers")
@router.get("/transfer")
async def back_to_form(event_id: RowId) -> Response:
    """Redirect a reload of an answered form to the page."""
    return redirect(f"/events/{event_id}/access")


@router.post("/subscribers/{subscription_id}/approve")
async def approve(
    event_id: RowId, subscription_id: RowId, user: CurrentUser, db: DbDep
) -> Response:
    async with db.write() as session:
        await approval.approve(session, event_id, user, subscription_id, utc_now())
    return redirect(f"/events/{event_id}/subscribers", "subscriber_approved")


@router.post("/subscribers/{subscription_id}/reject")
async def reject(event_id: RowId, subscription_id: RowId, user: CurrentUser, db: DbDep) -> Response:
    async with db.write() as session:
        await approval.reject(session, event_id, user, subscription_id, utc_now())
    return redirect(f"/events/{event_id}/subscribers", "subscriber_rejected")


@router.post("/invite")
async def invite(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    allowance: MailAllowanceDep,
) -> Response:
    """By mail to the addresses, or a link to pass on, which is shown this once."""
    form = await read_form(request)
    try:
        wanted, base_url = _invitation(form), settings.base_url
        made = await invitations.invite(db, allowance, event_id, user, wanted, base_url=base_url)
    except (NotFound, Forbidden):
        raise
    except SoonishError as error:
        return await _page(request, event_id, user, db, settings, form.failed(error))
    if isinstance(made, InvitationLink):
        return await _page(request, event_id, user, db, settings, Form(), link=made.url)
    return redirect(f"/events/{event_id}/access", "invited")


@router.post("/invitations/{invitation_id}/revoke")
async def revoke(event_id: RowId, invitation_id: RowId, user: CurrentUser, db: DbDep) -> Response:
    async with db.write() as session:
        await invitations.revoke(session, event_id, user, invitation_id, utc_now())
    return redirect(f"/events/{event_id}/access", "invitation_revoked")


@router.post("/add")
async def add_many(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    allowance: MailAllowanceDep,
) -> Response:
    """Addresses that were pasted, one a line or as CSV; each gets a mail that asks to confirm."""
    form = await read_form(request)
    try:
        rows = read_csv(form.value("addresses").encode())
        results = await bulk.run(db, event_id, user, "add", rows, allowance=allowance)
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
) -> Response:
    form = await read_form(request)
    try:
        wanted = parse(OrganizerInput, {"email": form.value("co_organizer")})
        await organizers.add(db, allowance, event_id, user, wanted.email)
    except (NotFound, Forbidden):
        raise
    except SoonishError as error:
        failed = form.failed(error)
        return await _page(request, event_id, user, db, settings, _named(failed, "co_organizer"))
    return redirect(f"/events/{event_id}/access", "organizer_added")


@router.post("/organizers/{user_id}/remove")
async def remove_organizer(
    event_id: RowId, user_id: RowId, user: CurrentUser, db: DbDep
) -> Response:
    async with db.write() as session:
        await organizers.remove(session, event_id, user, user_id)
    return redirect(f"/events/{event_id}/access", "organizer_removed")


@router.post("/transfer")
async def transfer(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    allowance: MailAllowanceDep,
) -> Response:
    form = await read_form(request)
    try:
        wanted = parse(TransferInput, {"email": form.value("new_owner")})
        await organizers.transfer(db, allowance, event_id, user, wanted.email)
    except (NotFound, Forbidden):
        raise
    except SoonishError as error:
        failed = form.failed(error)
        return await _page(request, event_id, user, db, settings, _named(failed, "new_owner"))
    return redirect(f"/events/{event_id}/access", "transferred")


def _invitation(form: Form) -> InvitationInput:
    """Read the form as the API's input; spaces, commas, semicolons and lines separate addresses."""
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
    """Move the API's error about `email` or the whole body to this form's field."""
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
) -> Response:
    helpers: list[OrganizerOut] = []
    async with db.read() as session:
        event = await own_event(session, event_id, user, settings)
        found = await invitations.list_invitations(session, event_id, user, limit=PAGE_SIZE)
        if event.owner_user_id == user.id:
            page = await organizers.list_organizers(session, event_id, user, limit=MAX_PAGE)
            helpers = page.items
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
        organizers=helpers,
        **({"link": "", "results": []} | shown),
    )
