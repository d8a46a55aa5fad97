"""The composer on the organizer's page: write, check whom it reaches and how it looks, send.

Each step is one form, so that it works without JavaScript; nothing that was typed is ever lost.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.domain.access import policy
from soonish.domain.notifications.audience import Audience, last_failed_count, reach
from soonish.domain.notifications.schemas import ManualMessage
from soonish.domain.subscriptions import listing
from soonish.domain.subscriptions.listing import Subscriber
from soonish.errors import Forbidden, InvalidInput, NotFound, SoonishError
from soonish.i18n import _
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database
from soonish.web.api import notifications
from soonish.web.api.subscriptions import SearchText
from soonish.web.deps import CurrentUser, DbDep, SettingsDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.pages.organizer.layout import is_open, own_event, section
from soonish.web.params import RowId
from soonish.web.rendering.forms import Form, parse, read_form
from soonish.web.rendering.frames import mail_frame
from soonish.web.rendering.templating import redirect, render

router = APIRouter(prefix="/events/{event_id}", include_in_schema=False)

OFFERED = 8  # people that are shown to choose from
LATEST = 4  # notifications beside the composer
MOST_CHOSEN = 200


@router.get("")
async def write(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    to: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """The composer; `?to=` (subscription ids) chooses people beforehand."""
    form = Form({"audience": ["chosen"], "to": to}) if to else Form()
    return await _composer(request, event_id, user, db, settings, form)


@router.post("/compose")
async def write_again(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """The composer with what is written so far: back from the check, or after a search."""
    form = await read_form(request)
    return await _composer(request, event_id, user, db, settings, form)


@router.get("/pick")
async def pick(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    query: Annotated[SearchText, Query(alias="pick")] = "",
    to: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """People to choose from, while somebody types; those chosen already stay."""
    event = await own_event(event_id, user, db, settings)
    form = Form({"pick": [query], "to": to or []})
    picked, found = await _people(event_id, user, db, form)
    return render(
        request,
        "organizer/pick.html",
        user=user,
        event=event,
        form=form,
        picked=picked,
        found=found,
    )


@router.post("/review")
async def review(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """The dry run: what the message looks like, and whom it would reach."""
    form = await read_form(request)
    try:
        message = _message(form)
        found = await notifications.preview_notify(event_id, message, user, db, settings)
    except (NotFound, Forbidden):
        raise
    except SoonishError as error:
        failed = form.failed(error)
        return await _composer(request, event_id, user, db, settings, failed, error.status)
    event = await own_event(event_id, user, db, settings)
    return section(
        request, user, event, "review", _("Ready to send?"), tab="message", form=form, preview=found
    )


@router.post("/preview/mail")
async def preview_mail(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """The HTML part alone, for the frame of the check."""
    message = _message(await read_form(request))
    found = await notifications.preview_notify(event_id, message, user, db, settings)
    return mail_frame(found.mail.html)


@router.post("/notify")
async def send(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    meter: MeterDep,
) -> Response:
    """Send the message; its key makes a repeated form one message."""
    form = await read_form(request)
    try:
        key = form.optional("idempotency_key")
        accepted = await notifications.notify(
            event_id, _message(form), user, db, settings, meter, key
        )
    except (NotFound, Forbidden):
        raise
    except SoonishError as error:
        failed = form.failed(error)
        return await _composer(request, event_id, user, db, settings, failed, error.status)
    target = f"/events/{event_id}/notifications/{accepted.notification_id}?sent=1"
    return redirect(target, "message_sent")


def _message(form: Form) -> ManualMessage:
    """The form as the API's input. InvalidInput names the form's fields."""
    values: dict[str, Any] = {"title": form.value("title"), "body": form.value("body")}
    match form.value("audience", "all"):
        case "channel":
            values["channel"] = form.value("channel")
        case "failed":
            values["last_failed"] = True
        case "chosen":
            values["subscription_ids"] = form.numbers("to")
            if not values["subscription_ids"]:
                parse(ManualMessage, values)
                raise InvalidInput("to", _("Choose at least one person."))
        case _everybody:
            pass
    return parse(ManualMessage, values)


async def _composer(
    request: Request,
    event_id: int,
    user: User,
    db: Database,
    settings: Settings,
    form: Form,
    status: int = 200,
) -> Response:
    """The page with the form as it is, and the status of what is wrong with it."""
    event = await own_event(event_id, user, db, settings)
    latest = await notifications.list_notifications(event_id, user, db, LATEST)
    async with db.read() as session:
        reached = await reach(session, event_id, Audience())
        failed = await last_failed_count(session, event_id)
        waiting = await listing.waiting_for_approval(session, [event_id])
    picked, found = await _people(event_id, user, db, form)
    return section(
        request,
        user,
        event,
        "message",
        _("Message"),
        tab="message",
        status=status,
        form=form,
        refused=status not in (200, 422),  # what is wrong with a field stands beside it
        idempotency_key=form.value("idempotency_key") or str(uuid.uuid4()),
        takes_messages=is_open(event, timedelta(days=settings.event_grace_days)),
        latest=latest.items,
        channels=reached.channels,
        last_failed=failed,
        waiting=waiting.get(event_id, 0),
        picked=picked,
        found=found,
    )


async def _people(
    event_id: int, user: User, db: Database, form: Form
) -> tuple[list[Subscriber], list[Subscriber]]:
    """(chosen ones, some others who match the search)."""
    ids = form.numbers("to")[:MOST_CHOSEN]
    async with db.read() as session:
        event = await policy.require_organizer(session, event_id, user)
        picked = await listing.subscribers(session, event, ids=ids, limit=MOST_CHOSEN)
        found = await listing.subscribers(
            session, event, query=form.value("pick"), status="active", limit=OFFERED
        )
    chosen = {one.subscription.id for one in picked}
    return picked, [one for one in found if one.subscription.id not in chosen]
