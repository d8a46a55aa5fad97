"""The page of a new event."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.domain.events import service
from soonish.domain.events.schemas import EventCreate
from soonish.errors import SoonishError
from soonish.infra.db.types import utc_now
from soonish.web.deps import CurrentUser, DbDep, SettingsDep
from soonish.web.pages.organizer.event_form import event_from, timezones
from soonish.web.rendering.formats import Formats
from soonish.web.rendering.forms import Form, read_form
from soonish.web.rendering.templating import redirect, render

router = APIRouter(include_in_schema=False)


@router.get("/new")
async def new(request: Request, user: CurrentUser) -> Response:
    zone = user.timezone or "UTC"
    evening = Formats.local_input(utc_now() + timedelta(days=1), zone)[:11] + "18:00"
    form = Form.filled(timezone=zone, start_date=evening)
    return _form_page(request, user, form, browser_zone=not user.timezone)


@router.post("/new")
async def create(request: Request, user: CurrentUser, db: DbDep, settings: SettingsDep) -> Response:
    form = await read_form(request)
    try:
        wanted: EventCreate = event_from(form, EventCreate)
        offsets = settings.default_reminders
        async with db.write() as session:
            event = await service.create(
                session, user, wanted, utc_now(), default_reminders=offsets
            )
    except SoonishError as error:
        return _form_page(request, user, form.failed(error), status=error.status)
    notice = "event_created" if event.is_public else "private_event_created"
    return redirect(f"/events/{event.id}", notice)


def _form_page(
    request: Request,
    user: CurrentUser,
    form: Form,
    *,
    browser_zone: bool = False,
    status: int = 200,
) -> Response:
    return render(
        request,
        "events/new.html",
        status=status,
        user=user,
        event=None,
        form=form,
        browser_zone=browser_zone,
        timezones=timezones(form.value("timezone", "UTC")),
    )
