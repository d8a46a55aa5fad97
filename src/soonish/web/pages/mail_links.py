"""Pages behind the links of a mail: manage a subscription, leave it. No cookie, no account."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.domain.access import subscription_queries
from soonish.domain.accounts.sign_in import send_magic_link
from soonish.domain.events import history, queries
from soonish.domain.events.schemas import EventOut
from soonish.domain.subscriptions import confirmation
from soonish.domain.subscriptions import service as subscriptions
from soonish.i18n import _
from soonish.identity.signed_tokens import LinkClaims, read_token
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.subscriptions import PENDING_APPROVAL, PENDING_CONFIRMATION
from soonish.infra.db.types import utc_now
from soonish.web.deps import DbDep, SettingsDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.pages.event_files import calendar_of
from soonish.web.pages.organizer.layout import PAGE_SIZE, is_open
from soonish.web.pages.reminder_form import (
    drop_remind_me,
    reminder_context,
    save_offsets,
    save_remind_me,
)
from soonish.web.params import RowId
from soonish.web.rendering.forms import Form, read_form
from soonish.web.rendering.templating import redirect, render

router = APIRouter(include_in_schema=False)


@router.get("/u/{token}")
async def ask_to_unsubscribe(
    request: Request, token: str, db: DbDep, settings: SettingsDep
) -> Response:
    """Asks for one click, because mail programs and scanners open every link."""
    claims = read_token(settings.secret_key, "unsubscribe", token, utc_now())
    async with db.read() as session:
        event, user = await subscriptions.token_subject(session, claims)
        subscribed = await subscription_queries.find_own(session, event.id, user.id) is not None
    return _page(
        request,
        heading=_("Unsubscribe?"),
        text=_nothing_more(event, event.is_public or subscribed),
        action=f"/u/{token}/confirmed",
        label=_("Unsubscribe"),
    )


@router.post("/u/{token}/confirmed")
async def unsubscribe(request: Request, token: str, db: DbDep, settings: SettingsDep) -> Response:
    """Unsubscribe by the page's button; `POST /u/{token}` itself belongs to mail programs."""
    claims = read_token(settings.secret_key, "unsubscribe", token, utc_now())
    async with db.write() as session:
        event = await subscriptions.unsubscribe(session, claims, utc_now())
    return _left(request, event)


@router.get("/confirm/{token}")
async def ask_to_confirm(request: Request, token: str, db: DbDep) -> Response:
    async with db.read() as session:
        event, subscription = await confirmation.find_by_token(session, token)
    if subscription.status != PENDING_CONFIRMATION:
        return _confirmed(request, event, subscription.status)
    return _page(
        request,
        heading=_("Confirm your subscription?"),
        text=_("You will be told about every change of “%(name)s”.", name=event.name),
        action=f"/confirm/{token}",
        label=_("Confirm subscription"),
    )


@router.post("/confirm/{token}")
async def confirm(request: Request, token: str, db: DbDep) -> Response:
    async with db.write() as session:
        event, status = await confirmation.confirm(session, token, utc_now())
    return _confirmed(request, event, status)


@router.get("/manage/{token}")
async def manage(
    request: Request, token: str, db: DbDep, settings: SettingsDep, said: str = ""
) -> Response:
    claims, here = _manage_claims(settings, token), f"/manage/{token}"
    async with db.read() as session:
        event, user = await subscriptions.token_subject(session, claims)
        if await subscription_queries.find_own(session, event.id, user.id) is None:
            return _left(request, event)
        shown = EventOut.of(await queries.details_for_visitors(session, event), settings)
        updates, _ = await history.list_updates(session, event, limit=PAGE_SIZE, cursor=None)
        context = await reminder_context(session, here, event.id, user, settings)
    return render(
        request,
        "subscriptions/manage.html",
        user=None,
        token_page=True,
        token=token,
        event=shown,
        open=is_open(shown),
        updates=updates,
        form=Form(),
        said=_SAID.get(said, ""),
        **context,
    )


@router.post("/manage/{token}/reminders")
async def set_reminders(request: Request, token: str, db: DbDep, settings: SettingsDep) -> Response:
    event, user = await _subject(db, settings, token)
    await save_offsets(await read_form(request), event.id, user, db, settings)
    return redirect(f"/manage/{token}?said=reminders")


@router.post("/manage/{token}/remind-me")
async def remind_me(request: Request, token: str, db: DbDep, settings: SettingsDep) -> Response:
    event, user = await _subject(db, settings, token)
    await save_remind_me(await read_form(request), event.id, user, db)
    return redirect(f"/manage/{token}?said=added")


@router.post("/manage/{token}/remind-me/{remind_me_id}/delete")
async def remove_remind_me(
    token: str, remind_me_id: RowId, db: DbDep, settings: SettingsDep
) -> Response:
    event, user = await _subject(db, settings, token)
    await drop_remind_me(event.id, remind_me_id, user, db)
    return redirect(f"/manage/{token}?said=removed")


@router.get("/manage/{token}/calendar.ics")
async def calendar(token: str, db: DbDep, settings: SettingsDep) -> Response:
    """Return the event, even a private one, as a calendar file while the person is subscribed."""
    claims = _manage_claims(settings, token)
    async with db.read() as session:
        event, user = await subscriptions.token_subject(session, claims)
        await subscriptions.get_own(session, event.id, user)  # NotFound for who has left
        shown = EventOut.of(await queries.details_for_visitors(session, event), settings)
        return await calendar_of(session, event, shown)


@router.post("/manage/{token}/all")
async def mail_sign_in(token: str, db: DbDep, settings: SettingsDep, meter: MeterDep) -> Response:
    """Mail a sign-in link, since a manage link acts on one subscription only."""
    _event, user = await _subject(db, settings, token)
    if user.email:
        await send_magic_link(db, meter, email=user.email)
    return redirect(f"/manage/{token}?said=mailed")


@router.post("/manage/{token}/leave")
async def leave(request: Request, token: str, db: DbDep, settings: SettingsDep) -> Response:
    claims = _manage_claims(settings, token)
    async with db.write() as session:
        event, user = await subscriptions.token_subject(session, claims)
        await subscriptions.unsubscribe_user(session, event.id, user, utc_now())
    return _left(request, event)


_SAID = {
    "reminders": _("Your reminders are saved."),
    "added": _("You will be reminded."),
    "removed": _("That reminder is gone."),
    "mailed": _("The link is on its way. Look at your mail."),
}


def _manage_claims(settings: SettingsDep, token: str) -> LinkClaims:
    return read_token(settings.secret_key, "manage", token, utc_now())


async def _subject(db: DbDep, settings: SettingsDep, token: str) -> tuple[Event, User]:
    """Return the event and the user that a manage token stands for. Raise Gone."""
    claims = _manage_claims(settings, token)
    async with db.read() as session:
        return await subscriptions.token_subject(session, claims)


def _confirmed(request: Request, event: Event, status: str) -> Response:
    if status == PENDING_APPROVAL:
        return _page(
            request,
            heading=_("Waiting for approval"),
            text=_(
                "The organizer of “%(name)s” decides now. You will be told by mail.",
                name=event.name,
            ),
        )
    return _page(
        request,
        heading=_("You are subscribed"),
        text=_(
            "You will be told about every change of “%(name)s”, and reminded in time.",
            name=event.name,
        ),
        link=f"/e/{event.slug}" if event.is_public else "",
        link_label=_("Event page"),
    )


def _nothing_more(event: Event, may_see: bool) -> str:
    """Say that the subscription is over, without a private event's present name."""
    if may_see:
        return _("You will hear nothing more about “%(name)s”.", name=event.name)
    return _("You will hear nothing more about this event.")


def _left(request: Request, event: Event) -> Response:
    return _page(
        request,
        heading=_("You are unsubscribed"),
        text=_nothing_more(event, event.is_public),
        link=f"/e/{event.slug}" if event.is_public else "",
        link_label=_("Changed your mind? Subscribe again"),
    )


def _page(request: Request, **context: str) -> Response:
    empty: dict[str, Any] = {"action": "", "label": "", "link": "", "link_label": ""}
    shown: dict[str, Any] = {**empty, **context, "user": None, "token_page": True}
    return render(request, "subscriptions/token.html", **shown)
