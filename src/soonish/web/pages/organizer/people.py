"""The people of an event, on the organizer's page: search, choose, write to, remove."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from soonish.domain.subscriptions import listing
from soonish.i18n import _
from soonish.web.api import subscriptions
from soonish.web.api.subscriptions import SearchText
from soonish.web.deps import CurrentUser, DbDep, SettingsDep
from soonish.web.pages.organizer.layout import PAGE_SIZE, next_url, own_event, section
from soonish.web.params import CursorText, RowId
from soonish.web.rendering.forms import read_form
from soonish.web.rendering.templating import redirect

router = APIRouter(prefix="/events/{event_id}", include_in_schema=False)


@router.get("/subscribers")
async def people(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    query: SearchText = "",
    status: Annotated[str, Query(max_length=20)] = "",
    cursor: CursorText = None,
) -> Response:
    """A page of the list, however many there are."""
    wanted = status if status in ("active", "pending_approval") else None
    event = await own_event(event_id, user, db, settings)
    found = await subscriptions.list_subscribers(
        event_id, user, db, query, wanted, PAGE_SIZE, cursor
    )
    async with db.read() as session:
        waiting = await listing.waiting_for_approval(session, [event_id])
    return section(
        request,
        user,
        event,
        "people",
        _("People"),
        tab="people",
        query=query,
        status_filter=wanted or "",
        subscribers=found.items,
        waiting=waiting.get(event_id, 0),
        next_url=next_url("", found.next_cursor, query=query, status=wanted or ""),
    )


@router.post("/subscribers/{subscription_id}/remove")
async def remove(
    request: Request, event_id: RowId, subscription_id: RowId, user: CurrentUser, db: DbDep
) -> Response:
    """The person is told; the others only where the box is ticked."""
    form = await read_form(request)
    others = form.value("notify_others") == "1"
    await subscriptions.remove(event_id, subscription_id, user, db, others)
    return redirect(f"/events/{event_id}/subscribers", "subscriber_removed")
