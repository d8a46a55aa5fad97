"""The pages of events: new, organizer page, edit, cancel.

They call the functions of the API's routes, so both do the same.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode
from zoneinfo import available_timezones

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.db.types import utc_now
from soonish.deps import CurrentUser, DbDep, SettingsDep
from soonish.errors import InvalidInput, SoonishError
from soonish.events import api, policy, queries
from soonish.events.schemas import EventCreate, EventOut, EventPatch
from soonish.notifications.api import list_notifications
from soonish.schemas import RowId
from soonish.subscriptions.api import list_subscribers
from soonish.web.formats import Formats
from soonish.web.forms import Form, parse, read_form
from soonish.web.templating import redirect, render

router = APIRouter(include_in_schema=False)

PAGE_SIZE = 20
_TEXTS = ("name", "location", "contact", "category", "description")


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
        event = await api.create_event(_event_from(form, EventCreate), user, db, settings)
    except SoonishError as error:
        return _form_page(request, user, form.failed(error), status=error.status)
    return redirect(f"/events/{event.id}", "event_created")


@router.get("/events/{event_id}")
async def organize(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """The organizer's page: the link to share, composer, subscribers, what was sent."""
    return await organizer_page(request, event_id, user, db, settings, Form())


@router.get("/events/{event_id}/edit")
async def edit(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    event = await own_event(event_id, user, db, settings)
    return _form_page(request, user, _form_of(event), event=event)


@router.post("/events/{event_id}/edit")
async def update(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    before = await own_event(event_id, user, db, settings)
    form = await read_form(request)
    try:
        patch = _changed_only(_event_from(form, EventPatch), before)
        after = await api.update_event(event_id, patch, user, db, settings)
    except SoonishError as error:
        return _form_page(request, user, form.failed(error), event=before, status=error.status)
    told = "event_updated" if after.updated_at != before.updated_at else "event_unchanged"
    return redirect(f"/events/{event_id}", told)


@router.get("/events/{event_id}/cancel")
async def ask_to_cancel(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    async with db.read() as session:
        await policy.require_owner(session, event_id, user)
    event = await own_event(event_id, user, db, settings)
    return render(request, "events/cancel.html", user=user, event=event)


@router.post("/events/{event_id}/cancel")
async def cancel(event_id: RowId, user: CurrentUser, db: DbDep) -> Response:
    await api.cancel_event(event_id, user, db)
    return redirect(f"/events/{event_id}", "event_cancelled")


async def organizer_page(
    request: Request,
    event_id: int,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    form: Form,
    *,
    status: int = 200,
) -> Response:
    """`form` is the composer's. NotFound, Forbidden for others than the event's organizers."""
    event = await own_event(event_id, user, db, settings)
    sent = await list_notifications(event_id, user, db, PAGE_SIZE)
    people = await list_subscribers(event_id, user, db, limit=PAGE_SIZE)
    async with db.read() as session:
        updates, _ = await queries.list_updates(session, event_id, limit=PAGE_SIZE, cursor=None)
        reminders = await queries.reminders_to_come(session, event_id)
    return render(
        request,
        "events/organize.html",
        status=status,
        user=user,
        event=event,
        is_owner=event.owner_user_id == user.id,
        open=is_open(event),
        form=form,
        idempotency_key=form.value("idempotency_key") or str(uuid.uuid4()),
        notifications=sent.items,
        unfinished=any(item.completed_at is None for item in sent.items),
        updates=updates,
        subscribers=people.items,
        subscribers_next=next_url(f"/events/{event_id}/subscribers", people.next_cursor),
        query="",
        reminders=[row for row in reminders if row.subscription_id is None],
    )


async def own_event(event_id: int, user: CurrentUser, db: DbDep, settings: SettingsDep) -> EventOut:
    """The event as the API shows it, for its organizers only. NotFound, Forbidden."""
    async with db.read() as session:
        event = await policy.require_organizer(session, event_id, user)
        return api.event_out(await queries.details_of(session, event), settings)


def is_open(event: EventOut) -> bool:
    """True while the event still takes changes and subscribers."""
    return event.status != "cancelled" and (event.end_date or event.start_date) > utc_now()


def next_url(path: str, cursor: str | None, **parameters: str) -> str | None:
    """The address of a list's next page, None on the last."""
    if cursor is None:
        return None
    kept = {name: value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(kept | {'cursor': cursor})}"


def timezones(chosen: str) -> list[tuple[str, str]]:
    """The choices of a timezone field; one that we do not know stays visible as chosen."""
    names = sorted(_place_names() | ({chosen} - {"UTC"}))
    return [(name, name.replace("_", " ")) for name in ["UTC", *names]]


@cache
def _place_names() -> frozenset[str]:
    """The zones that are called after a place; reading them all takes milliseconds."""
    names = available_timezones()
    return frozenset(name for name in names if "/" in name and not name.startswith("Etc/"))


def _form_page(
    request: Request,
    user: CurrentUser,
    form: Form,
    *,
    event: EventOut | None = None,
    browser_zone: bool = False,
    status: int = 200,
) -> Response:
    return render(
        request,
        "events/edit.html" if event else "events/new.html",
        status=status,
        user=user,
        event=event,
        form=form,
        browser_zone=browser_zone,
        timezones=timezones(form.value("timezone", "UTC")),
    )


def _event_from(form: Form, schema: type[Any]) -> Any:
    """The form as the API's input: local times become instants, tags are split at commas."""
    timezone = form.value("timezone", "UTC")
    values: dict[str, Any] = {name: form.optional(name) for name in _TEXTS}
    values |= {
        "name": form.value("name"),
        "start_date": _required(form.instant("start_date", timezone)),
        "end_date": form.instant("end_date", timezone),
        "timezone": timezone,
        "tags": [tag.strip() for tag in form.value("tags").split(",") if tag.strip()],
        "is_public": "1" in form.values("is_public"),
    }
    return parse(schema, values)


def _required(start: datetime | None) -> datetime:
    if start is None:
        raise InvalidInput("start_date", "Choose a date and a time.")
    return start


def _changed_only(patch: EventPatch, before: EventOut) -> EventPatch:
    """Only what differs from what the form showed: its fields know minutes, not seconds."""
    sent = patch.sent()
    for name in ("start_date", "end_date"):
        old = getattr(before, name)
        if old and sent[name] == old.replace(second=0, microsecond=0):
            sent[name] = old
    return EventPatch(**{k: v for k, v in sent.items() if v != getattr(before, k)})


def _form_of(event: EventOut) -> Form:
    zone = event.timezone
    return Form.filled(
        **{name: getattr(event, name) for name in (*_TEXTS, "timezone")},
        start_date=Formats.local_input(event.start_date, zone),
        end_date=event.end_date and Formats.local_input(event.end_date, zone),
        tags=", ".join(event.tags),
        is_public="1" if event.is_public else "0",
    )
