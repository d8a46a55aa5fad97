"""The administrators' pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.domain.admin import analytics, queries, service
from soonish.domain.admin.queries import Health
from soonish.domain.admin.schemas import AdminIntegration, AdminUser, AnalyticsOut
from soonish.domain.events import service as event_rules
from soonish.domain.events.schemas import EventOut
from soonish.errors import SoonishError
from soonish.infra.audit.queries import entries
from soonish.infra.audit.schemas import AuditEntryOut
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Session
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import Page
from soonish.web.deps import Admin, DbDep, SettingsDep
from soonish.web.pages.organizer.layout import PAGE_SIZE, next_url
from soonish.web.params import CursorText, Days, HealthFilter, PersonSearch, RowId
from soonish.web.rendering.templating import is_htmx, redirect, render

router = APIRouter(prefix="/admin", include_in_schema=False)


@router.get("")
async def overview(request: Request, admin: Admin, db: DbDep, days: Days = 7) -> Response:
    """Show how deliveries went, and which channels fail."""
    async with db.read() as session:
        found = await analytics.analyse(session, utc_now() - timedelta(days=days))
        opened = await _channels(session, "open", None)
        failing = await _channels(session, "failing", None)
    return render(
        request,
        "admin/overview.html",
        user=admin,
        days=days,
        analytics=AnalyticsOut.of(found, days),
        troubled=[*opened.items, *failing.items],
    )


@router.get("/users")
async def users(
    request: Request, admin: Admin, db: DbDep, query: PersonSearch = "", cursor: CursorText = None
) -> Response:
    async with db.read() as session:
        found = await _users(session, query, cursor)
    return _list(request, admin, "users", found.items, found.next_cursor, query=query)


@router.post("/users/{user_id}/deactivate")
async def deactivate(request: Request, admin: Admin, user_id: RowId, db: DbDep) -> Response:
    try:
        async with db.write() as session:
            await service.deactivate(session, admin, user_id, utc_now())
    except SoonishError as error:
        async with db.read() as session:
            found = await _users(session, "", None)
        return _list(request, admin, "users", found.items, found.next_cursor, query="", error=error)
    return redirect("/admin/users", "user_deactivated")


@router.post("/users/{user_id}/reactivate")
async def reactivate(admin: Admin, user_id: RowId, db: DbDep) -> Response:
    async with db.write() as session:
        await service.reactivate(session, user_id)
    return redirect("/admin/users", "user_reactivated")


@router.get("/events")
async def events(
    request: Request,
    admin: Admin,
    db: DbDep,
    settings: SettingsDep,
    query: PersonSearch = "",
    cursor: CursorText = None,
) -> Response:
    async with db.read() as session:
        found = await _events(session, settings, query, cursor)
    return _list(request, admin, "events", found.items, found.next_cursor, query=query)


@router.post("/events/{event_id}/cancel")
async def cancel(
    request: Request, admin: Admin, event_id: RowId, db: DbDep, settings: SettingsDep
) -> Response:
    try:
        async with db.write() as session:
            await event_rules.cancel(session, event_id, admin, utc_now(), as_administrator=True)
    except SoonishError as error:
        async with db.read() as session:
            found = await _events(session, settings, "", None)
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
    async with db.read() as session:
        found = await _channels(session, health, cursor)
    rows, following = found.items, found.next_cursor
    return _list(request, admin, "integrations", rows, following, health=health or "")


@router.get("/audit")
async def audit(request: Request, admin: Admin, db: DbDep, cursor: CursorText = None) -> Response:
    async with db.read() as session:
        rows, following = await entries(session, limit=PAGE_SIZE, cursor=cursor)
    items = [AuditEntryOut.model_validate(row) for row in rows]
    return _list(request, admin, "audit", items, following)


async def _users(session: Session, query: str, cursor: str | None) -> Page[AdminUser]:
    found, following = await queries.users(session, query, limit=PAGE_SIZE, cursor=cursor)
    return Page(items=[AdminUser.of(one) for one in found], next_cursor=following)


async def _events(
    session: Session, settings: Settings, query: str, cursor: str | None
) -> Page[EventOut]:
    found, following = await queries.all_events(session, query, limit=PAGE_SIZE, cursor=cursor)
    return Page(items=[EventOut.of(one, settings) for one in found], next_cursor=following)


async def _channels(
    session: Session, health: Health | None, cursor: str | None
) -> Page[AdminIntegration]:
    now = utc_now()
    rows, following = await queries.channels(
        session, health=health, kind=None, now=now, limit=PAGE_SIZE, cursor=cursor
    )
    return Page(items=[AdminIntegration.of(row, now) for row in rows], next_cursor=following)


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
    """Render a page of a list, only its rows for HTMX. Its links keep `chosen`."""
    template = f"admin/{name}_rows.html" if is_htmx(request) else f"admin/{name}.html"
    following = next_url(f"/admin/{name}", cursor, **chosen)
    context: dict[str, Any] = {"items": items, "next_url": following, **chosen}
    if error is not None:
        context |= {"error": error.detail, "status": error.status}
    return render(request, template, user=admin, **context)
