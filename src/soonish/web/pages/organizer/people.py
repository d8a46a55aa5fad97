"""The people of an event, on the organizer's page: search, choose, write to, remove."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from soonish.domain.subscriptions import listing, service
from soonish.domain.subscriptions.listing import SubscriberFilter
from soonish.i18n import _
from soonish.infra.db.models.subscriptions import ACTIVE, PENDING_APPROVAL
from soonish.infra.db.types import utc_now
from soonish.web.deps import CurrentUser, DbDep, SettingsDep
from soonish.web.pages.organizer.layout import PAGE_SIZE, next_url, own_event, section
from soonish.web.params import CursorText, PersonSearch, RowId
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
    query: PersonSearch = "",
    status: Annotated[str, Query(max_length=20)] = "",
    cursor: CursorText = None,
) -> Response:
    """Show a page of the list of subscribers."""
    wanted = status if status in (ACTIVE, PENDING_APPROVAL) else None
    shown = SubscriberFilter(query, wanted)
    async with db.read() as session:
        event = await own_event(session, event_id, user, settings)
        found = await listing.subscribers(
            session, event_id, user, shown, limit=PAGE_SIZE, cursor=cursor
        )
        waiting = await listing.count_waiting(session, event_id, user)
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
        waiting=waiting,
        next_url=next_url("", found.next_cursor, query=query, status=wanted or ""),
    )


@router.post("/subscribers/{subscription_id}/remove")
async def remove(
    request: Request, event_id: RowId, subscription_id: RowId, user: CurrentUser, db: DbDep
) -> Response:
    """Remove a subscriber and tell them; tell the others only if the box is ticked."""
    form = await read_form(request)
    others = form.value("notify_others") == "1"
    async with db.write() as session:
        await service.remove(
            session, event_id, user, subscription_id, utc_now(), notify_others=others
        )
    return redirect(f"/events/{event_id}/subscribers", "subscriber_removed")
