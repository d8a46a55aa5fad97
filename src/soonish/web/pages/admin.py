"""The administrators' pages; they call the functions of the API's routes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.errors import SoonishError
from soonish.infra.db.models.accounts import User
from soonish.web.api import admin as api
from soonish.web.api.admin import Days, HealthFilter, SearchText
from soonish.web.deps import Admin, DbDep, SettingsDep
from soonish.web.pages.organizer.layout import PAGE_SIZE, next_url
from soonish.web.params import CursorText, RowId
from soonish.web.rendering.templating import is_htmx, redirect, render

router = APIRouter(prefix="/admin", include_in_schema=False)


@router.get("")
async def overview(request: Request, admin: Admin, db: DbDep, days: Days = 7) -> Response:
    """How deliveries went, and which channels are in trouble."""
    found = await api.analysed(db, days)
    failing = await api.list_integrations(admin, db, health="failing", limit=PAGE_SIZE)
    opened = await api.list_integrations(admin, db, health="open", limit=PAGE_SIZE)
    return render(
        request,
        "admin/overview.html",
        user=admin,
        days=days,
        analytics=found,
        troubled=[*opened.items, *failing.items],
    )


@router.get("/users")
async def users(
    request: Request, admin: Admin, db: DbDep, query: SearchText = "", cursor: CursorText = None
) -> Response:
    found = await api.list_users(admin, db, query=query, limit=PAGE_SIZE, cursor=cursor)
    return _list(request, admin, "users", found.items, found.next_cursor, query=query)


@router.post("/users/{user_id}/deactivate")
async def deactivate(request: Request, admin: Admin, user_id: RowId, db: DbDep) -> Response:
    try:
        await api.deactivate_user(admin, user_id, db)
    except SoonishError as error:
        found = await api.list_users(admin, db, limit=PAGE_SIZE)
        return _list(request, admin, "users", found.items, found.next_cursor, query="", error=error)
    return redirect("/admin/users", "user_deactivated")


@router.post("/users/{user_id}/reactivate")
async def reactivate(admin: Admin, user_id: RowId, db: DbDep) -> Response:
    await api.reactivate_user(admin, user_id, db)
    return redirect("/admin/users", "user_reactivated")


@router.get("/events")
async def events(
    request: Request,
    admin: Admin,
    db: DbDep,
    settings: SettingsDep,
    query: SearchText = "",
    cursor: CursorText = None,
) -> Response:
    found = await api.list_events(admin, db, settings, query, PAGE_SIZE, cursor)
    return _list(request, admin, "events", found.items, found.next_cursor, query=query)


@router.post("/events/{event_id}/cancel")
async def cancel(
    request: Request, admin: Admin, event_id: RowId, db: DbDep, settings: SettingsDep
) -> Response:
    try:
        await api.cancel_event(admin, event_id, db, settings)
    except SoonishError as error:
        found = await api.list_events(admin, db, settings, "", PAGE_SIZE, None)
        return _list(
            request, admin, "events", found.items, found.next_cursor, query="", error=error
        )
    return redirect("/admin/events", "event_cancelled")


@router.get("/integrations")
async def integrations(
    request: Request,
    admin: Admin,
    db: DbDep,
    health: HealthFilter = None,
    cursor: CursorText = None,
) -> Response:
    found = await api.list_integrations(admin, db, health, None, PAGE_SIZE, cursor)
    rows, following = found.items, found.next_cursor
    return _list(request, admin, "integrations", rows, following, health=health or "")


@router.get("/audit")
async def audit(request: Request, admin: Admin, db: DbDep, cursor: CursorText = None) -> Response:
    found = await api.list_audit(admin, db, None, None, PAGE_SIZE, cursor)
    return _list(request, admin, "audit", found.items, found.next_cursor)


def _list(
    request: Request,
    admin: User,
    name: str,
    items: list[Any],
    cursor: str | None,
    *,
    error: SoonishError | None = None,
    **chosen: str,
) -> Response:
    """A page of one of the lists; HTMX gets the rows alone. `chosen` is kept in its links."""
    template = f"admin/{name}_rows.html" if is_htmx(request) else f"admin/{name}.html"
    following = next_url(f"/admin/{name}", cursor, **chosen)
    context: dict[str, Any] = {"items": items, "next_url": following, **chosen}
    if error is not None:
        context |= {"error": error.detail, "status": error.status}
    return render(request, template, user=admin, **context)
