"""The organizer's pages about messages: the composer, what was sent, and to whom it came."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from soonish.deps import CurrentUser, DbDep, SettingsDep
from soonish.errors import NotFound, SoonishError
from soonish.events.pages import PAGE_SIZE, next_url, organizer_page, own_event
from soonish.notifications import api
from soonish.notifications.models import State
from soonish.notifications.schemas import ManualMessage
from soonish.schemas import CursorText, RowId
from soonish.web.forms import parse, read_form
from soonish.web.rate_limits import MeterDep
from soonish.web.templating import is_htmx, redirect, render

router = APIRouter(prefix="/events/{event_id}", include_in_schema=False)


@router.post("/notify")
async def notify(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    meter: MeterDep,
) -> Response:
    """Send the composer's message; its key makes a repeated form one message."""
    form = await read_form(request)
    try:
        values = {"title": form.value("title"), "body": form.value("body")}
        message = parse(ManualMessage, values)
        key = form.optional("idempotency_key")
        await api.notify(event_id, message, user, db, settings, meter, key)
    except NotFound:
        raise
    except SoonishError as error:
        failed = form.failed(error)
        return await organizer_page(
            request, event_id, user, db, settings, failed, status=error.status
        )
    return redirect(f"/events/{event_id}", "message_sent")


@router.get("/notifications")
async def progress(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """The list with its counts, which HTMX asks for again while something is on the way."""
    if not is_htmx(request):
        return redirect(f"/events/{event_id}")
    event = await own_event(event_id, user, db, settings)
    sent = await api.list_notifications(event_id, user, db, PAGE_SIZE)
    return render(
        request,
        "events/notifications.html",
        user=user,
        event=event,
        notifications=sent.items,
        unfinished=any(item.completed_at is None for item in sent.items),
    )


@router.get("/notifications/{notification_id}")
async def detail(
    request: Request,
    event_id: RowId,
    notification_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    state: Annotated[State | None, Query()] = None,
    cursor: CursorText = None,
) -> Response:
    """One message and what became of it for each recipient."""
    item = await api.get_notification(event_id, notification_id, user, db)
    states = [state] if state else None
    found = await api.list_deliveries(
        event_id, notification_id, user, db, states, PAGE_SIZE, cursor
    )
    return render(
        request,
        "events/notification.html",
        user=user,
        event=await own_event(event_id, user, db, settings),
        item=item,
        deliveries=found.items,
        state=state or "",
        next_url=next_url("", found.next_cursor, state=state or ""),
    )


@router.post("/notifications/{notification_id}/retry")
async def retry(event_id: RowId, notification_id: RowId, user: CurrentUser, db: DbDep) -> Response:
    await api.retry_notification(event_id, notification_id, user, db)
    return redirect(f"/events/{event_id}/notifications/{notification_id}", "retrying")
