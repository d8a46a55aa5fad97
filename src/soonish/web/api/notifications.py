"""/api/events/{id}/notify and /notifications: messages by hand, and what became of each."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Query, status

from soonish.domain.access import policy
from soonish.domain.notifications import queries, service
from soonish.domain.notifications.preview import preview
from soonish.domain.notifications.queries import DeliveryRow, NotificationWithCounts
from soonish.domain.notifications.schemas import (
    Accepted,
    Counts,
    DeliveryOut,
    ManualMessage,
    NotificationOut,
    PreviewOut,
    Retried,
)
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import DeliveryState
from soonish.infra.db.types import utc_now
from soonish.infra.rate_limits.limits import NOTIFY
from soonish.kit.masking import mask_address
from soonish.kit.schemas import Page, Text
from soonish.web.deps import CurrentUser, DbDep, SettingsDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api/events/{event_id}", tags=["notifications"])

States = Annotated[list[DeliveryState] | None, Query(description="Only deliveries in these states")]
ChannelFilter = Annotated[Text | None, Query(max_length=64, description="mail, or a kind")]
SearchText = Annotated[Text, Query(max_length=320)]
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key")]


def notification_out(event: Event, found: NotificationWithCounts) -> NotificationOut:
    row = found.notification
    return NotificationOut(
        id=row.id,
        kind=row.kind,
        title=queries.title_of(event, row),
        created_at=row.created_at,
        completed_at=row.completed_at,
        counts=Counts(**found.counts),
    )


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
    async with db.read() as session:  # only organizers are counted
        await policy.require_organizer(session, event_id, user)
    await meter.require(NOTIFY, str(event_id))
    async with db.write() as session:
        event = await policy.require_organizer(session, event_id, user, lock="update")
        notification, audience = await service.request_manual(
            session,
            event,
            user,
            message.title,
            message.body,
            message.audience(),
            idempotency_key,
            utc_now(),
            grace=timedelta(days=settings.event_grace_days),
        )
    return Accepted(notification_id=notification.id, audience=audience)


@router.post("/notify/preview")
async def preview_notify(
    event_id: RowId, message: ManualMessage, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> PreviewOut:
    """What `notify` with the same body would send, and to whom; sends nothing."""
    async with db.read() as session:
        event = await policy.require_organizer(session, event_id, user)
        return await preview(session, event, message, user.locale or "en", settings)


@router.get("/notifications")
async def list_notifications(
    event_id: RowId, user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[NotificationOut]:
    """Everything that was sent about the event, newest first, with counts by state."""
    async with db.read() as session:
        event = await policy.require_organizer(session, event_id, user)
        found, following = await queries.list_of_event(
            session, event_id, limit=limit, cursor=cursor
        )
    return Page(items=[notification_out(event, one) for one in found], next_cursor=following)


@router.get("/notifications/{notification_id}")
async def get_notification(
    event_id: RowId, notification_id: RowId, user: CurrentUser, db: DbDep
) -> NotificationOut:
    async with db.read() as session:
        event, row = await policy.require_notification(session, event_id, notification_id, user)
        found = await queries.with_counts(session, [row])
    return notification_out(event, found[0])


@router.get("/notifications/{notification_id}/deliveries")
async def list_deliveries(
    event_id: RowId,
    notification_id: RowId,
    user: CurrentUser,
    db: DbDep,
    state: States = None,
    channel: ChannelFilter = None,
    query: SearchText = "",
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[DeliveryOut]:
    """What became of the message for each recipient and channel; addresses are masked.

    `query` is looked for in names and compared with whole addresses.
    """
    async with db.read() as session:
        _, row = await policy.require_notification(session, event_id, notification_id, user)
        found, following = await queries.list_deliveries(
            session,
            row.id,
            states=state or (),
            channel=channel,
            text=query,
            limit=limit,
            cursor=cursor,
        )
    return Page(items=[delivery_out(one) for one in found], next_cursor=following)


@router.post("/notifications/{notification_id}/retry", status_code=status.HTTP_202_ACCEPTED)
async def retry_notification(
    event_id: RowId, notification_id: RowId, user: CurrentUser, db: DbDep
) -> Retried:
    """Try the failed deliveries again; asked twice, each is still sent once."""
    async with db.write() as session:
        _, row = await policy.require_notification(session, event_id, notification_id, user)
        retried = await service.retry_failed(session, row, utc_now())
    return Retried(notification_id=row.id, retried=retried)
