"""The event page with its subscribe form."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from soonish.domain.events import queries
from soonish.domain.subscriptions import anonymous, service
from soonish.domain.subscriptions.anonymous import AnonymousRequest
from soonish.domain.subscriptions.schemas import SelectionPatch, SubscribeInput
from soonish.errors import SoonishError
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.subscriptions import ACTIVE, PENDING_APPROVAL
from soonish.infra.db.types import utc_now
from soonish.web.deps import (
    AskerDep,
    BrowserLanguage,
    CurrentUser,
    DbDep,
    OptionalUser,
    SettingsDep,
)
from soonish.web.pages.event_view import choice_of, event_view, remember_told
from soonish.web.pages.reminder_form import drop_remind_me, save_offsets, save_remind_me
from soonish.web.params import InvitationToken, RowId
from soonish.web.rendering.forms import Form, parse, read_form
from soonish.web.rendering.templating import is_htmx, redirect, render

router = APIRouter(include_in_schema=False)


@router.get("/e/{slug}")
async def event_page(
    request: Request,
    slug: str,
    db: DbDep,
    settings: SettingsDep,
    user: OptionalUser,
    done: bool = False,
    invitation: InvitationToken = None,
) -> Response:
    form = Form.filled(invitation=invitation)
    was = "subscribed" if done else ""
    async with db.read() as session:
        event = await queries.by_slug(session, slug, user, invitation)
        return await event_view(request, session, event, settings, user, form, done=was)


@router.post("/e/{slug}/subscribe")
async def subscribe_address(
    request: Request,
    slug: str,
    db: DbDep,
    settings: SettingsDep,
    user: OptionalUser,
    locale: BrowserLanguage,
    asker: AskerDep,
) -> Response:
    """Anonymous, by address; the answer never tells whether it was subscribed already."""
    form = await read_form(request)
    invitation = form.optional("invitation")
    event = await _event(db, slug, user, invitation)
    try:
        wanted = parse(SubscribeInput, {"email": form.value("email"), "invitation": invitation})
        address = wanted.email or ""
        made = AnonymousRequest(event.id, address, wanted.name, locale, wanted.invitation)
        status = await anonymous.subscribe(db, asker, made, double_opt_in=settings.double_opt_in)
    except SoonishError as error:
        return await _refused(request, event, db, settings, user, form, error)
    if is_htmx(request) or not event.is_public:  # its link may be used up by now
        done = "asked" if status == PENDING_APPROVAL else "subscribed"
        async with db.read() as session:
            return await event_view(
                request, session, event, settings, user, Form(), done=done, told=address
            )
    return remember_told(redirect(f"/e/{slug}?done=1#subscribe"), slug, address)


@router.post("/e/{slug}/channels")
async def choose_channels(
    request: Request, slug: str, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """Subscribe the signed-in user, or change where they are told."""
    form = await read_form(request)
    invitation = form.optional("invitation")
    event = await _event(db, slug, user, invitation)
    try:
        wanted = _selection(form)
        async with db.write() as session:
            own = await service.subscribe_user(
                session, event.id, user, wanted, utc_now(), invitation=invitation
            )
            if not own.is_new:
                await service.update_selectors(session, event.id, user, wanted, utc_now())
    except SoonishError as error:
        return await _refused(request, event, db, settings, user, form, error)
    waits = own.subscription.status != ACTIVE
    said = "subscription_saved" if not own.is_new else "asked" if waits else "subscribed"
    return redirect(f"/e/{slug}", said)


@router.get("/e/{slug}/targets")
async def targets(
    request: Request,
    slug: str,
    user: CurrentUser,
    db: DbDep,
    integration_ids: Annotated[list[str], Query(default_factory=list)],
    tags: Annotated[list[str], Query(default_factory=list)],
    invitation: InvitationToken = None,
) -> Response:
    """Show what the ticked boxes would reach, as a fragment, while somebody chooses."""
    chosen = Form({"integration_ids": integration_ids})
    async with db.read() as session:
        await queries.by_slug(session, slug, user, invitation)
        choice = await choice_of(session, user, chosen.numbers("integration_ids"), tags)
    return render(request, "events/targets.html", user=user, choice=choice)


@router.post("/e/{slug}/leave")
async def leave(slug: str, user: CurrentUser, db: DbDep) -> Response:
    async with db.write() as session:
        event = await queries.by_slug(session, slug, user)
        await service.unsubscribe_user(session, event.id, user, utc_now())
    # A private event is not to be seen any more by somebody who left it.
    return redirect(f"/e/{slug}" if event.is_public else "/dashboard", "unsubscribed")


@router.post("/e/{slug}/reminders")
async def set_reminders(
    request: Request, slug: str, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    event = await _event(db, slug, user)
    await save_offsets(await read_form(request), event.id, user, db, settings)
    return redirect(f"/e/{slug}", "reminders_saved")


@router.post("/e/{slug}/remind-me")
async def remind_me(request: Request, slug: str, user: CurrentUser, db: DbDep) -> Response:
    event = await _event(db, slug, user)
    await save_remind_me(await read_form(request), event.id, user, db)
    return redirect(f"/e/{slug}", "remind_me_added")


@router.post("/e/{slug}/remind-me/{remind_me_id}/delete")
async def remove_remind_me(
    slug: str, remind_me_id: RowId, user: CurrentUser, db: DbDep
) -> Response:
    event = await _event(db, slug, user)
    await drop_remind_me(event.id, remind_me_id, user, db)
    return redirect(f"/e/{slug}", "remind_me_removed")


async def _event(db: DbDep, slug: str, user: User | None, invitation: str | None = None) -> Event:
    async with db.read() as session:
        return await queries.by_slug(session, slug, user, invitation)


async def _refused(
    request: Request,
    event: Event,
    db: DbDep,
    settings: SettingsDep,
    user: User | None,
    form: Form,
    error: SoonishError,
) -> Response:
    failed = form.failed(error)
    async with db.read() as session:
        return await event_view(
            request, session, event, settings, user, failed, status=error.status
        )


def _selection(form: Form) -> SelectionPatch:
    ids, tags = form.numbers("integration_ids"), form.values("tags")
    return parse(SelectionPatch, {"mode": "replace", "integration_ids": ids, "tags": tags})
