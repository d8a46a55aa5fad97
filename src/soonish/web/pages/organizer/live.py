"""Live progress over server-sent events: fragments for the organizer's pages while something is
on its way."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.responses import Response

from soonish.config import Settings
from soonish.domain.notifications import queries
from soonish.domain.notifications.progress import Progress, ProgressHub, require_viewer
from soonish.errors import SoonishError, Unauthorized
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database
from soonish.web.deps import CurrentUser, DbDep, SettingsDep, find_access
from soonish.web.params import RowId
from soonish.web.rendering.templating import render_text

router = APIRouter(prefix="/events/{event_id}", include_in_schema=False)

CHECK_SECONDS = 5.0  # how long somebody who may not watch any more still can
RETRY_MILLISECONDS = 1000
AT_ONCE = 20  # notifications that one stream follows: a page of them


@dataclass(frozen=True)
class Viewer:
    """Who watches what; asked again while the stream lasts."""

    request: Request
    user: User
    event_id: int
    db: Database
    settings: Settings

    async def require(self) -> None:
        """Unauthorized, NotFound or Forbidden as soon as the page itself would say so."""
        access = await find_access(self.request, self.settings, self.db)
        if access is None:
            raise Unauthorized
        async with self.db.read() as session:
            await require_viewer(session, self.event_id, access.user)


async def get_viewer(
    request: Request, event_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Viewer:
    return Viewer(request, user, event_id, db, settings)


async def get_progress_hub(request: Request) -> ProgressHub:
    return cast(ProgressHub, request.app.state.progress)


ViewerDep = Annotated[Viewer, Depends(get_viewer)]
HubDep = Annotated[ProgressHub, Depends(get_progress_hub)]


@router.get("/progress")
async def follow_event(viewer: ViewerDep, hub: HubDep) -> Response:
    """Whatever of the event is on its way now."""
    async with viewer.db.read() as session:
        ids = await queries.unfinished_ids(session, viewer.event_id, viewer.user, AT_ONCE)
    return _stream(viewer, hub, ids)


@router.get("/notifications/{notification_id}/progress")
async def follow_notification(viewer: ViewerDep, notification_id: RowId, hub: HubDep) -> Response:
    async with viewer.db.read() as session:
        found = await queries.detail(session, viewer.event_id, notification_id, viewer.user)
    return _stream(viewer, hub, [found.shown.id])


def _stream(viewer: Viewer, hub: ProgressHub, ids: Collection[int]) -> Response:
    """Events `n{id}` with a fragment for each change, `refused` where the viewer may not watch
    any more, and `done` at the end. At the end of the process neither: the browser comes back."""
    hub.require_place(viewer.user.id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(_events(viewer, hub, ids), headers=headers)


async def _events(
    viewer: Viewer, hub: ProgressHub, ids: Collection[int]
) -> AsyncGenerator[bytes, None]:
    yield format_sse_event(retry=RETRY_MILLISECONDS)
    try:
        async for changes in _checked(viewer, hub, ids):
            for one in changes.values():
                yield _event(viewer, one)
            if not changes:
                yield format_sse_event(comment="still here")
    except SoonishError:
        refused = render_text(viewer.request, "organizer/refused.html", viewer.user)
        yield format_sse_event(event="refused", data_str=refused)
    if not hub.is_closed:
        yield format_sse_event(event="done", data_str="")


async def _checked(
    viewer: Viewer, hub: ProgressHub, ids: Collection[int]
) -> AsyncGenerator[dict[int, Progress], None]:
    """Yield what the hub sees while the viewer may see it; raise what `Viewer.require` does."""
    checked = time.monotonic()
    with hub.place_for(viewer.user.id):
        async with aclosing(hub.watch(ids)) as seen:
            async for changes in seen:
                if time.monotonic() - checked >= CHECK_SECONDS:
                    await viewer.require()
                    checked = time.monotonic()
                yield changes


def _event(viewer: Viewer, one: Progress) -> bytes:
    html = render_text(viewer.request, "organizer/progress.html", viewer.user, item=one)
    return format_sse_event(event=f"n{one.id}", data_str=html)
