"""Sections of the organizer's page about the event itself: settings, edit, cancel, reminders,
health."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.delivery.texts.content import Change
from soonish.delivery.texts.humanize import describe_changes
from soonish.domain.events import history, reminders, service, statistics, workflow
from soonish.domain.events.schemas import ChangePreview, Day, EventOut, EventPatch
from soonish.errors import Forbidden, NotFound, SoonishError
from soonish.i18n import _
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.web.deps import CurrentUser, DbDep, SettingsDep, TemporalDep
from soonish.web.pages.organizer.event_form import (
    FIELDS,
    ORIGINALS,
    brought_up_to_date,
    changed_only,
    event_from,
    form_of,
    is_stale,
    timezones,
)
from soonish.web.pages.organizer.layout import PAGE_SIZE, next_url, own_event, section
from soonish.web.params import CursorText, RowId
from soonish.web.rendering import charts
from soonish.web.rendering.forms import Form, read_form
from soonish.web.rendering.templating import locale_of, redirect

router = APIRouter(prefix="/events/{event_id}", include_in_schema=False)


@router.get("/settings")
async def settings_of(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """Show the event, its update log, and the links to edit or cancel it."""
    async with db.read() as session:
        event = await own_event(session, event_id, user, settings)
        updates, _more = await history.visible_updates(session, event_id, user, limit=PAGE_SIZE)
    return section(request, user, event, "settings", _("Settings"), tab="settings", updates=updates)


@router.get("/edit")
async def edit(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    async with db.read() as session:
        event = await own_event(session, event_id, user, settings)
    return _edit_page(request, user, form_of(event), event)


@router.post("/edit")
async def update(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """First what would be announced to whom; with `step=save` the change itself, unless somebody
    else changed the event after that was shown."""
    posted = await read_form(request)
    step = posted.value("step")
    async with db.read() as session:
        before = await own_event(session, event_id, user, settings)
        form, stale = brought_up_to_date(posted, before), is_stale(posted, before)
        if step == "edit":
            return _edit_page(request, user, form, before, stale=stale)
        try:
            patch = changed_only(event_from(form, EventPatch), before)
            if step != "save" or stale:
                told = await service.preview_update(session, event_id, user, patch, utc_now())
                return _announcement_page(request, user, form, before, told, stale=stale)
        except (NotFound, Forbidden):
            raise
        except SoonishError as error:
            return _edit_page(request, user, form.failed(error), before, error.status, stale=stale)
    return await _save(request, event_id, user, db, settings, form, before, patch)


@router.get("/cancel")
async def ask_to_cancel(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """Show whom a cancellation would notify, and that it cannot be undone."""
    async with db.read() as session:
        told = await service.preview_cancel(session, event_id, user)
        event = await own_event(session, event_id, user, settings)
    return section(request, user, event, "cancel", _("Cancel event"), tab="settings", told=told)


@router.post("/cancel")
async def cancel(event_id: RowId, user: CurrentUser, db: DbDep) -> Response:
    async with db.write() as session:
        await service.cancel(session, event_id, user, utc_now())
    return redirect(f"/events/{event_id}/settings", "event_cancelled")


@router.get("/reminders")
async def reminders_of(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    cursor: CursorText = None,
) -> Response:
    """Those to come, those that were sent and how punctual they were, those that were missed."""
    async with db.read() as session:
        event = await own_event(session, event_id, user, settings)
        fired = await statistics.fired_reminders(
            session, event_id, user, limit=PAGE_SIZE, cursor=cursor
        )
        found = await reminders.overview(session, event_id, user, most_missed=PAGE_SIZE)
    return section(
        request,
        user,
        event,
        "reminders",
        _("Reminders"),
        tab="reminders",
        coming=found.coming,
        personal=found.personal,
        missed=found.missed,
        fired=fired.items,
        next_url=next_url("", fired.next_cursor),
    )


@router.get("/health")
async def health(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    temporal: TemporalDep,
) -> Response:
    """Show the state of the event's workflow, and charts of what happened."""
    async with db.read() as session:
        event = await own_event(session, event_id, user, settings)
        stored = await workflow.stored_state(session, event_id, user, utc_now())
        days = await statistics.days(session, event_id, user, utc_now())
    return section(
        request,
        user,
        event,
        "health",
        _("Health"),
        tab="health",
        workflow=await workflow.status(temporal, stored),
        **_charts(days),
    )


def _charts(days: list[Day]) -> dict[str, Any]:
    return {
        "days": days,
        "states": [one for one in charts.STATES if any(one in day.deliveries for day in days)],
        "delivery_chart": charts.stacked([day.deliveries for day in days], charts.STATES),
        "subscriber_chart": charts.line([day.subscribers for day in days]),
    }


async def _save(
    request: Request,
    event_id: int,
    user: User,
    db: Database,
    settings: Settings,
    form: Form,
    before: EventOut,
    patch: EventPatch,
) -> Response:
    """Apply the change."""
    offsets = settings.default_reminders
    try:
        async with db.write() as session:
            after = await service.update(
                session, event_id, user, patch, utc_now(), default_reminders=offsets
            )
    except (NotFound, Forbidden):
        raise
    except SoonishError as error:
        return _edit_page(request, user, form.failed(error), before, error.status)
    notice = "event_updated" if after.updated_at != before.updated_at else "event_unchanged"
    return redirect(f"/events/{event_id}/settings", notice)


def _edit_page(
    request: Request,
    user: User,
    form: Form,
    event: EventOut,
    status: int = 200,
    *,
    stale: bool = False,
) -> Response:
    return section(
        request,
        user,
        event,
        "edit",
        _("Edit event"),
        tab="settings",
        status=status,
        form=form,
        originals=ORIGINALS,
        stale=stale,
        browser_zone=False,
        timezones=timezones(form.value("timezone", "UTC")),
    )


def _announcement_page(
    request: Request, user: User, form: Form, event: EventOut, told: ChangePreview, *, stale: bool
) -> Response:
    if not told.changes:
        return redirect(f"/events/{event.id}/settings", "event_unchanged")
    timezone = form.value("timezone", event.timezone)
    changes = [Change(one.field, one.old, one.new) for one in told.changes]
    return section(
        request,
        user,
        event,
        "announcement",
        _("Tell everybody?"),
        tab="settings",
        form=form,
        kept=(*FIELDS, *ORIGINALS),
        stale=stale,
        told=told,
        changes=describe_changes(changes, timezone, locale_of(request, user)),
    )
