"""/api/events/{id}/notify and /notifications: messages by hand, and what became of each."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Query, status

from soonish.domain.notifications import queries, service
from soonish.domain.notifications.preview import preview
from soonish.domain.notifications.queries import DeliveryFilter, DeliveryRow
from soonish.domain.notifications.schemas import (
    Accepted,
    DeliveryOut,
    ManualMessage,
    NotificationOut,
    PreviewOut,
    Retried,
)
from soonish.infra.db.models.notifications import DeliveryState
from soonish.infra.db.types import utc_now
from soonish.kit.masking import mask_address
from soonish.kit.schemas import Page
from soonish.web.deps import CurrentUser, DbDep, SettingsDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.params import ChannelFilter, CursorText, Limit, PersonSearch, RowId

router = APIRouter(prefix="/api/events/{event_id}", tags=["notifications"])

States = Annotated[list[DeliveryState] | None, Query(description="Only deliveries in these states")]
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key")]


def delivery_out(found: DeliveryRow) -> DeliveryOut:
    row = found.delivery
    fields = {name: getattr(row, name, None) for name in DeliveryOut.model_fields}
    own = {"address": mask_address(found.address), "channel": found.channel}
    return DeliveryOut.model_validate(fields | own)


@router.post("/notify", status_code=status.HTTP_202_ACCEPTED)
async def notify(
    event_id: RowId,
    message: ManualMessage,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    meter: MeterDep,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Send a message to all subscribers, or to some; the same key again sends nothing twice."""
    grace = timedelta(days=settings.event_grace_days)
    return await service.notify(db, meter, event_id, user, message, idempotency_key, grace=grace)


@router.post("/notify/preview")
async def preview_notify(
    event_id: RowId, message: ManualMessage, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> PreviewOut:
    """Show what `notify` with the same body would send, and to whom. Send nothing."""
    async with db.read() as session:
        return await preview(session, event_id, user, message, settings)


@router.get("/notifications")
async def list_notifications(
    event_id: RowId, user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[NotificationOut]:
    """Everything that was sent about the event, newest first, with counts by state."""
    async with db.read() as session:
        return await queries.list_of_event(session, event_id, user, limit=limit, cursor=cursor)


@router.get("/notifications/{notification_id}")
async def get_notification(
    event_id: RowId, notification_id: RowId, user: CurrentUser, db: DbDep
) -> NotificationOut:
    async with db.read() as session:
        return (await queries.detail(session, event_id, notification_id, user)).shown


@router.get("/notifications/{notification_id}/deliveries")
async def list_deliveries(
    event_id: RowId,
    notification_id: RowId,
    user: CurrentUser,
    db: DbDep,
    state: States = None,
    channel: ChannelFilter = None,
    query: PersonSearch = "",
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[DeliveryOut]:
    """List the message's deliveries by recipient and channel, with masked addresses.

    `query` is looked for in names and compared with whole addresses.
    """
    wanted = DeliveryFilter(state or (), channel, query)
    async with db.read() as session:
        found, following = await queries.list_deliveries(
            session, event_id, notification_id, user, wanted, limit=limit, cursor=cursor
        )
    return Page(items=[delivery_out(one) for one in found], next_cursor=following)


@router.post("/notifications/{notification_id}/retry", status_code=status.HTTP_202_ACCEPTED)
async def retry_notification(
    event_id: RowId, notification_id: RowId, user: CurrentUser, db: DbDep
) -> Retried:
    """Try the failed deliveries again; asked twice, each is still sent once."""
    async with db.write() as session:
        return await service.retry(session, event_id, notification_id, user, utc_now())
