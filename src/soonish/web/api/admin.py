"""/api/admin: for administrators; 404 to everybody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request

from soonish.domain.accounts.limits import MailAllowance
from soonish.domain.admin import analytics, queries, service
from soonish.domain.admin.queries import Health
from soonish.domain.admin.schemas import AdminIntegration, AdminUser, AnalyticsOut
from soonish.domain.events import queries as events
from soonish.domain.events import queries as operators
from soonish.domain.events import service as event_rules
from soonish.domain.events.schemas import EventOut
from soonish.domain.subscriptions import bulk
from soonish.domain.subscriptions.listing import subscribers
from soonish.domain.subscriptions.schemas import SubscriberOut
from soonish.infra.audit import queries as audit
from soonish.infra.audit.schemas import AuditEntryOut
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.kit.masking import mask_address
from soonish.kit.paging import id_cursor, page
from soonish.kit.schemas import MAX_ID, Page, Text
from soonish.web.api.events import event_out
from soonish.web.api.subscriptions import StatusFilter, subscriber_out
from soonish.web.api.subscriptions_bulk import BODY as BULK_BODY
from soonish.web.api.subscriptions_bulk import BulkOut, CsvAction, read_rows, row_out, stamps
from soonish.web.deps import Admin, DbDep, SettingsDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api/admin", tags=["admin"])

SearchText = Annotated[Text, Query(max_length=320)]
HealthFilter = Annotated[Health | None, Query(description="open: its circuit; off: switched off")]
KindFilter = Annotated[Text | None, Query(max_length=64)]
Days = Annotated[int, Query(ge=1, le=365, description="How far back")]


@router.get("/users")
async def list_users(
    admin: Admin, db: DbDep, query: SearchText = "", limit: Limit = 50, cursor: CursorText = None
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
    query: SearchText = "",
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[EventOut]:
    """All events, private, past and cancelled ones too, newest first."""
    async with db.read() as session:
        found, following = await queries.all_events(session, query, limit=limit, cursor=cursor)
    return Page(items=[event_out(one, settings) for one in found], next_cursor=following)


@router.post("/events/{event_id}/cancel")
async def cancel_event(admin: Admin, event_id: RowId, db: DbDep, settings: SettingsDep) -> EventOut:
    """Cancel anybody's event and tell its subscribers. 409 `event_over` for a past one."""
    async with db.write() as session:
        event, _ = await operators.with_owner(session, event_id, lock=True)
        await event_rules.cancel(session, event, utc_now())
        found = await events.details_of(session, event)
    return event_out(found, settings)


@router.get("/events/{event_id}/subscriptions")
async def list_subscriptions(
    admin: Admin,
    event_id: RowId,
    db: DbDep,
    query: SearchText = "",
    status: StatusFilter = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[SubscriberOut]:
    """An event's subscribers with masked addresses, newest first."""
    before = id_cursor(cursor)
    async with db.read() as session:
        event, _ = await operators.with_owner(session, event_id)
        found = await subscribers(
            session, event, query=query, status=status, limit=limit + 1, before_id=before
        )
    shown, following = page(found, limit, lambda one: one.subscription.id)
    items = [_masked(subscriber_out(one)) for one in shown]
    return Page(items=items, next_cursor=following)


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
    async with db.read() as session:
        await operators.with_owner(session, event_id)
    content_type = request.headers.get("content-type", "")
    wanted, rows = read_rows(await request.body(), content_type, action)
    muted = await stamps(MailAllowance(meter, admin), wanted, rows)
    results = await bulk.run(db, event_id, admin, wanted, rows, as_administrator=True, muted=muted)
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
    """The health of everybody's channels, newest first; never a URL."""
    now = utc_now()
    async with db.read() as session:
        rows, following = await queries.channels(
            session, health=health, kind=kind, now=now, limit=limit, cursor=cursor
        )
    return Page(items=[AdminIntegration.of(row, now) for row in rows], next_cursor=following)


@router.get("/deliveries")
async def delivery_analytics(admin: Admin, db: DbDep, days: Days = 7) -> AnalyticsOut:
    """Success rate, latency, and failures by kind of channel and day."""
    return await analysed(db, days)


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


async def analysed(db: Database, days: int) -> AnalyticsOut:
    async with db.read() as session:
        found = await analytics.analyse(session, utc_now() - timedelta(days=days))
    return AnalyticsOut.of(found, days)
