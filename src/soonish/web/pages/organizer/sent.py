"""What was sent about an event: each notification with how far it is, and to whom it came."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from soonish.domain.access import policy
from soonish.domain.notifications import queries
from soonish.i18n import _
from soonish.infra.db.models.notifications import DeliveryState
from soonish.web.api import notifications
from soonish.web.api.notifications import ChannelFilter, SearchText
from soonish.web.deps import CurrentUser, DbDep, SettingsDep
from soonish.web.pages.organizer.layout import PAGE_SIZE, next_url, own_event, section
from soonish.web.params import CursorText, RowId
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
    event = await own_event(event_id, user, db, settings)
    found = await notifications.list_notifications(event_id, user, db, PAGE_SIZE, cursor)
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
async def detail(
    request: Request,
    event_id: RowId,
    notification_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    state: Annotated[str, Query()] = "",
    channel: ChannelFilter = None,
    query: SearchText = "",
    cursor: CursorText = None,
    sent: bool = False,
) -> Response:
    """One message and what became of it for each recipient, whose addresses organizers see in
    full; `sent`: it was sent just now."""
    states = [DeliveryState(state)] if state in set(DeliveryState) else None
    kind = (channel or "").strip() or None
    event = await own_event(event_id, user, db, settings)
    item = await notifications.get_notification(event_id, notification_id, user, db)
    async with db.read() as session:
        _event, row = await policy.require_notification(session, event_id, notification_id, user)
        channels = await queries.channels_of(session, notification_id)
        found, following = await queries.list_deliveries(
            session,
            notification_id,
            states=states or (),
            channel=kind,
            text=query,
            limit=PAGE_SIZE,
            cursor=cursor,
        )
    wanted = {"state": state, "channel": kind or "", "query": query}
    shown = {name: value for name, value in (wanted | {"cursor": cursor}).items() if value}
    return section(
        request,
        user,
        event,
        "notification",
        item.title or _("What was sent"),
        tab="sent",
        item=item,
        body=row.body if item.kind == "manual" else None,
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
    await notifications.retry_notification(event_id, notification_id, user, db)
    return redirect(f"/events/{event_id}/notifications/{notification_id}", "retrying")
