"""/api/admin: for administrators; 404 to everybody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request

from soonish.domain.admin import analytics, queries, service
from soonish.domain.admin.schemas import AdminIntegration, AdminUser, AnalyticsOut
from soonish.domain.events import queries as events
from soonish.domain.events import service as event_rules
from soonish.domain.events.schemas import EventOut
from soonish.domain.subscriptions import bulk
from soonish.domain.subscriptions.listing import SubscriberFilter, subscribers
from soonish.domain.subscriptions.schemas import SubscriberOut
from soonish.identity.mail_limits import MailAllowance
from soonish.infra.audit import queries as audit
from soonish.infra.audit.schemas import AuditEntryOut
from soonish.infra.db.types import utc_now
from soonish.kit.masking import mask_address
from soonish.kit.schemas import MAX_ID, Page, Text
from soonish.web.api.subscriptions import StatusFilter
from soonish.web.api.subscriptions_bulk import BODY as BULK_BODY
from soonish.web.api.subscriptions_bulk import BulkOut, CsvAction, read_rows, row_out
from soonish.web.deps import Admin, DbDep, SettingsDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.params import CursorText, Days, HealthFilter, Limit, PersonSearch, RowId

router = APIRouter(prefix="/api/admin", tags=["admin"])

KindFilter = Annotated[Text | None, Query(max_length=64)]


@router.get("/users")
async def list_users(
    admin: Admin, db: DbDep, query: PersonSearch = "", limit: Limit = 50, cursor: CursorText = None
) -> Page[AdminUser]:
    """Users whose name contains the text or whose whole address it is, newest first."""
    async with db.read() as session:
        found, following = await queries.users(session, query, limit=limit, cursor=cursor)
    return Page(items=[AdminUser.of(one) for one in found], next_cursor=following)


@router.get("/users/{user_id}")
async def get_user(admin: Admin, user_id: RowId, db: DbDep) -> AdminUser:
    async with db.read() as session:
        return AdminUser.of(await service.require_user(session, user_id))


@router.post("/users/{user_id}/deactivate")
async def deactivate_user(admin: Admin, user_id: RowId, db: DbDep) -> AdminUser:
    """End all sessions of the user and let them sign in no more. 409 for oneself."""
    async with db.write() as session:
        return AdminUser.of(await service.deactivate(session, admin, user_id, utc_now()))


@router.post("/users/{user_id}/reactivate")
async def reactivate_user(admin: Admin, user_id: RowId, db: DbDep) -> AdminUser:
    async with db.write() as session:
        return AdminUser.of(await service.reactivate(session, user_id))


@router.get("/events")
async def list_events(
    admin: Admin,
    db: DbDep,
    settings: SettingsDep,
    query: PersonSearch = "",
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[EventOut]:
    """All events, private, past and cancelled ones too, newest first."""
    async with db.read() as session:
        found, following = await queries.all_events(session, query, limit=limit, cursor=cursor)
    return Page(items=[EventOut.of(one, settings) for one in found], next_cursor=following)


@router.post("/events/{event_id}/cancel")
async def cancel_event(admin: Admin, event_id: RowId, db: DbDep, settings: SettingsDep) -> EventOut:
    """Cancel anybody's event and tell its subscribers. 409 `event_over` for a past one."""
    async with db.write() as session:
        event = await event_rules.cancel(session, event_id, admin, utc_now(), as_administrator=True)
        found = await events.details_of(session, event)
    return EventOut.of(found, settings)


@router.get("/events/{event_id}/subscriptions")
async def list_subscriptions(
    admin: Admin,
    event_id: RowId,
    db: DbDep,
    query: PersonSearch = "",
    status: StatusFilter = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[SubscriberOut]:
    """List an event's subscribers with masked addresses, newest first."""
    wanted = SubscriberFilter(query, status)
    async with db.read() as session:
        found = await subscribers(
            session, event_id, admin, wanted, limit=limit, cursor=cursor, as_administrator=True
        )
    return Page(items=[_masked(one) for one in found.items], next_cursor=found.next_cursor)


@router.post("/events/{event_id}/subscriptions/bulk", openapi_extra={"requestBody": BULK_BODY})
async def change_subscriptions(
    admin: Admin,
    event_id: RowId,
    request: Request,
    db: DbDep,
    meter: MeterDep,
    action: CsvAction = None,
) -> BulkOut:
    """Add addresses (each gets a mail that asks it to confirm), approve or remove subscriptions of
    anybody's event; as JSON, or as text/csv with `?action=`."""
    content_type = request.headers.get("content-type", "")
    wanted, rows = read_rows(await request.body(), content_type, action)
    allowance = MailAllowance(meter, admin)
    results = await bulk.run(
        db, event_id, admin, wanted, rows, as_administrator=True, allowance=allowance
    )
    return BulkOut(results=[row_out(one) for one in results])


@router.get("/integrations")
async def list_integrations(
    admin: Admin,
    db: DbDep,
    health: HealthFilter = None,
    kind: KindFilter = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[AdminIntegration]:
    """List the health of everybody's channels, newest first; never a URL."""
    now = utc_now()
    async with db.read() as session:
        rows, following = await queries.channels(
            session, health=health, kind=kind, now=now, limit=limit, cursor=cursor
        )
    return Page(items=[AdminIntegration.of(row, now) for row in rows], next_cursor=following)


@router.get("/deliveries")
async def delivery_analytics(admin: Admin, db: DbDep, days: Days = 7) -> AnalyticsOut:
    """Success rate, latency, and failures by kind of channel and day."""
    async with db.read() as session:
        found = await analytics.analyse(session, utc_now() - timedelta(days=days))
    return AnalyticsOut.of(found, days)


@router.get("/audit")
async def list_audit(
    admin: Admin,
    db: DbDep,
    user_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    event_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[AuditEntryOut]:
    """All entries of the audit log, newest first; of one user or one event where asked."""
    conditions = [] if user_id is None else [audit.by_actor(user_id)]
    if event_id is not None:
        conditions.append(audit.of_event(event_id))
    async with db.read() as session:
        rows, following = await audit.entries(session, *conditions, limit=limit, cursor=cursor)
    return Page(items=[AuditEntryOut.model_validate(row) for row in rows], next_cursor=following)


def _masked(one: SubscriberOut) -> SubscriberOut:
    return one.model_copy(update={"address": mask_address(one.address)})
