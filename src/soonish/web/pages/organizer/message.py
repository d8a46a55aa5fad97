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
from soonish.domain.notifications import audience, queries, service
from soonish.domain.notifications.preview import preview
from soonish.domain.notifications.schemas import ManualMessage
from soonish.domain.subscriptions import listing
from soonish.domain.subscriptions.listing import Recipients
from soonish.errors import Forbidden, InvalidInput, NotFound, SoonishError
from soonish.i18n import _
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Session
from soonish.web.deps import CurrentUser, DbDep, SettingsDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.pages.organizer.layout import is_open, own_event, section
from soonish.web.params import PersonSearch, RowId
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
    """Show the composer; `?to=` (subscription ids) selects people beforehand."""
    form = Form({"audience": ["chosen"], "to": to}) if to else Form()
    async with db.read() as session:
        return await _composer(request, session, event_id, user, settings, form)


@router.post("/compose")
async def write_again(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """Show the composer with the text so far: back from the check, or after a search."""
    form = await read_form(request)
    async with db.read() as session:
        return await _composer(request, session, event_id, user, settings, form)


@router.get("/pick")
async def pick(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    query: Annotated[PersonSearch, Query(alias="pick")] = "",
    to: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """People to choose from, while somebody types; those chosen already stay."""
    form = Form({"pick": [query], "to": to or []})
    async with db.read() as session:
        event = await own_event(session, event_id, user, settings)
        people = await _people(session, event_id, user, form)
    return render(
        request,
        "organizer/pick.html",
        user=user,
        event=event,
        form=form,
        picked=people.chosen,
        found=people.others,
    )


@router.post("/review")
async def review(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """Show a preview of the message and the number of people it would reach."""
    form = await read_form(request)
    async with db.read() as session:
        try:
            found = await preview(session, event_id, user, _message(form), settings)
        except (NotFound, Forbidden):
            raise
        except SoonishError as error:
            failed = form.failed(error)
            return await _composer(request, session, event_id, user, settings, failed, error.status)
        event = await own_event(session, event_id, user, settings)
    return section(
        request, user, event, "review", _("Ready to send?"), tab="message", form=form, preview=found
    )


@router.post("/preview/mail")
async def preview_mail(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """Return the HTML part alone, for the frame of the preview."""
    message = _message(await read_form(request))
    async with db.read() as session:
        found = await preview(session, event_id, user, message, settings)
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
    grace = timedelta(days=settings.event_grace_days)
    try:
        key = form.optional("idempotency_key")
        message = _message(form)
        accepted = await service.notify(db, meter, event_id, user, message, key, grace=grace)
    except (NotFound, Forbidden):
        raise
    except SoonishError as error:
        failed = form.failed(error)
        async with db.read() as session:
            return await _composer(request, session, event_id, user, settings, failed, error.status)
    target = f"/events/{event_id}/notifications/{accepted.notification_id}?sent=1"
    return redirect(target, "message_sent")


def _message(form: Form) -> ManualMessage:
    """Read the form as the API's input. Raise InvalidInput, which names the form's fields."""
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
    session: Session,
    event_id: int,
    user: User,
    settings: Settings,
    form: Form,
    status: int = 200,
) -> Response:
    """Render the page with the form as posted, and the status of its error."""
    event = await own_event(session, event_id, user, settings)
    latest = await queries.list_of_event(session, event_id, user, limit=LATEST)
    choices = await audience.choices(session, event_id, user)
    people = await _people(session, event_id, user, form)
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
        channels=choices.channels,
        last_failed=choices.last_failed,
        waiting=await listing.count_waiting(session, event_id, user),
        picked=people.chosen,
        found=people.others,
    )


async def _people(session: Session, event_id: int, user: User, form: Form) -> Recipients:
    ids = form.numbers("to")[:MOST_CHOSEN]
    return await listing.recipients(session, event_id, user, ids, form.value("pick"), OFFERED)
