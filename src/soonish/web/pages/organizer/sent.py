"""What was sent about an event: each notification with how far it is, and to whom it came."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from soonish.domain.notifications import queries, service
from soonish.domain.notifications.queries import DeliveryFilter
from soonish.i18n import _
from soonish.infra.db.models.notifications import DeliveryState
from soonish.infra.db.types import utc_now
from soonish.web.deps import CurrentUser, DbDep, SettingsDep
from soonish.web.pages.organizer.layout import PAGE_SIZE, next_url, own_event, section
from soonish.web.params import ChannelFilter, CursorText, PersonSearch, RowId
from soonish.web.rendering.templating import redirect

router = APIRouter(prefix="/events/{event_id}", include_in_schema=False)


@router.get("/notifications")
async def sent(
    request: Request,
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    cursor: CursorText = None,
) -> Response:
    async with db.read() as session:
        event = await own_event(session, event_id, user, settings)
        found = await queries.list_of_event(session, event_id, user, limit=PAGE_SIZE, cursor=cursor)
    return section(
        request,
        user,
        event,
        "notifications",
        _("What was sent"),
        tab="sent",
        notifications=found.items,
        unfinished=any(item.completed_at is None for item in found.items),
        next_url=next_url("", found.next_cursor),
    )


@router.get("/notifications/{notification_id}")
async def one(
    request: Request,
    event_id: RowId,
    notification_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    state: Annotated[str, Query()] = "",
    channel: ChannelFilter = None,
    query: PersonSearch = "",
    cursor: CursorText = None,
    sent: bool = False,
) -> Response:
    """One message and what became of it for each recipient, whose addresses organizers see in
    full; `sent`: it was sent just now."""
    states = [DeliveryState(state)] if state in set(DeliveryState) else None
    kind = (channel or "").strip() or None
    narrowed = DeliveryFilter(states or (), kind, query)
    async with db.read() as session:
        event = await own_event(session, event_id, user, settings)
        detail = await queries.detail(session, event_id, notification_id, user)
        channels = await queries.channels_of(session, event_id, notification_id, user)
        found, following = await queries.list_deliveries(
            session, event_id, notification_id, user, narrowed, limit=PAGE_SIZE, cursor=cursor
        )
    wanted = {"state": state, "channel": kind or "", "query": query}
    shown = {name: value for name, value in (wanted | {"cursor": cursor}).items() if value}
    return section(
        request,
        user,
        event,
        "notification",
        detail.shown.title or _("What was sent"),
        tab="sent",
        item=detail.shown,
        body=detail.body,
        deliveries=found,
        channels=channels,
        sent_now=sent,
        state=state,
        channel=kind or "",
        query=query,
        list_url=f"?{urlencode(shown)}",
        next_url=next_url("", following, **wanted),
    )


@router.post("/notifications/{notification_id}/retry")
async def retry(event_id: RowId, notification_id: RowId, user: CurrentUser, db: DbDep) -> Response:
    async with db.write() as session:
        await service.retry(session, event_id, notification_id, user, utc_now())
    return redirect(f"/events/{event_id}/notifications/{notification_id}", "retrying")
