"""Write the notification and ledger rows that each kind of outbox row requests.

Every handler takes the payloads of consecutive rows of its kind, and may be called again with the
same ones: notifications have a deterministic `dedup_key`, ledger rows a unique target.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger import expansion
from soonish.delivery.ledger.routing import MAIL
from soonish.domain.access import policy
from soonish.domain.events.service import cancel_locked
from soonish.domain.notifications import service as notifications
from soonish.domain.notifications.schemas import ManualMessage
from soonish.domain.subscriptions import service as subscriptions
from soonish.errors import FieldError, InvalidInput
from soonish.infra.db import sql
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event, EventUpdate
from soonish.infra.db.models.notifications import (
    FAREWELLS,
    Delivery,
    DeliveryState,
    Notification,
    NotificationKind,
)
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.outbox import streams
from soonish.kit.schemas import MAX_ID
from soonish.workflow_types import HandItem

Payloads = Sequence[dict[str, Any]]
_MESSAGE = ("title", "body", "subscription_ids")  # the payload of a message by hand


async def only_wake(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """Do nothing for a wake: the plan that follows says what there is to do."""


async def created(session: AsyncSession, event: Event, now: datetime) -> None:
    """Write the organizer's creation notice, once per event, unless they were erased since."""
    known = select(Notification.id).where(Notification.dedup_key == f"created:{event.id}")
    if await session.scalar(known) is not None:
        return
    if (await session.get_one(User, event.owner_user_id)).erased_at:
        return
    notification = await _ensure(
        session, event, NotificationKind.CREATED, f"created:{event.id}", now
    )
    session.add(
        Delivery(
            notification_id=notification.id,
            user_id=event.owner_user_id,
            target_key=MAIL,
            state=DeliveryState.PENDING,
            expires_at=now + expansion.MESSAGE_LIFETIME,
            created_at=now,
        )
    )
    notification.expanded_at = now
    await session.flush()


async def added(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """Welcome new subscribers: one notification per event, with a delivery for each.

    The delivery of a `muted` subscription is suppressed: its address is over the limit of mails
    that strangers can cause.
    """
    welcome = await _ensure(session, event, NotificationKind.WELCOME, f"welcome:{event.id}", now)
    chosen = Subscription.id.in_(sql.id_list(session, _ids(payloads, "subscription_id")))
    await expansion.expand(session, welcome, chosen, _belongs_to(event), now=now)
    if muted := _ids([one for one in payloads if one.get("muted")], "subscription_id"):
        await expansion.mute(session, welcome, muted, now)


async def removed(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """Write the farewell, by service mail since the person may have no channel any more."""
    chosen = Subscription.id.in_(sql.id_list(session, _ids(payloads, "subscription_id")))
    reasons = select(Subscription.end_reason).where(chosen, _belongs_to(event)).distinct()
    for kind in set(FAREWELLS) & set((await session.scalars(reasons)).all()):
        farewell = await _ensure(session, event, kind, f"{kind}:{event.id}", now)
        ended = and_(chosen, Subscription.end_reason == kind, _belongs_to(event))
        await expansion.add_mail(session, farewell, ended, now=now)
    for payload in payloads:
        if payload.get("notify_others"):
            await _notify_others(session, event, int(payload["subscription_id"]), now)


async def _notify_others(
    session: AsyncSession, event: Event, subscription_id: int, now: datetime
) -> None:
    notification = await _ensure(
        session,
        event,
        NotificationKind.MANUAL,
        f"removed-others:{subscription_id}",
        now,
        title=f"Somebody left {event.name}",
        body=f"The organizer of {event.name} removed a subscriber.",
    )
    await expansion.expand(session, notification, _belongs_to(event), now=now)


async def updated(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """Announce changes to all; a signal by hand without `update_id` only wakes the workflow."""
    for update_id in _ids(payloads, "update_id"):
        update = await session.get(EventUpdate, update_id)
        if update is None or update.event_id != event.id:
            raise InvalidInput("update_id", "is not of this event")
        notification = await _ensure(
            session,
            event,
            NotificationKind.UPDATE,
            f"update:{update_id}",
            update.created_at,
            title=update.title,
            body=update.body,
            content={"changes": update.changes or [], "title": None, "body": None},
        )
        await _expand_as_of(session, event, notification, now)


async def manual(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """Expand the organizer's own message, to all or to selected subscribers."""
    for notification_id in _ids(payloads, "notification_id"):
        notification = await expansion.lock(session, notification_id)
        if notification is None or notification.event_id != event.id:
            raise InvalidInput("notification_id", "is not of this event")
        await _expand_as_of(session, event, notification, now)


async def cancelled(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """Announce the cancellation to all, and suppress unsent rows of earlier notifications."""
    key = f"cancelled:{event.id}"
    notification = await _ensure(
        session, event, NotificationKind.CANCELLED, key, event.cancelled_at or now
    )
    await expansion.suppress_open(session, event.id, notification.id, now)
    await _expand_as_of(session, event, notification, now)


HANDLERS = {
    streams.PARTICIPANT_ADDED: added,
    streams.PARTICIPANT_REMOVED: removed,
    streams.EVENT_UPDATED: updated,
    streams.SEND_MANUAL_NOTIFICATION: manual,
    streams.CANCEL_EVENT: cancelled,
    streams.WAKE: only_wake,
}

TO_ALL = (streams.EVENT_UPDATED, streams.SEND_MANUAL_NOTIFICATION, streams.CANCEL_EVENT)


async def by_hand(
    session: AsyncSession, event: Event, item: HandItem, now: datetime, *, grace: timedelta
) -> None:
    """Process a signal sent by hand, not from the outbox. The caller logs refusals."""
    if item.kind == streams.SEND_MANUAL_NOTIFICATION and "notification_id" not in item.payload:
        policy.require_open_for_messages(event, grace, now)
        await _manual_by_hand(session, event, item, now)
    elif item.kind == streams.CANCEL_EVENT and event.cancelled_at is None:
        await session.refresh(event, with_for_update=True)
        await cancel_locked(session, event, now)
    elif item.kind == streams.PARTICIPANT_REMOVED:
        await _remove_by_hand(session, event, item, now)
    else:
        handler = HANDLERS.get(item.kind, only_wake)
        await handler(session, event, [item.payload], now)


async def _remove_by_hand(
    session: AsyncSession, event: Event, item: HandItem, now: datetime
) -> None:
    """Remove as an organizer would; if the subscription has ended, make sure of its farewell."""
    for subscription_id in _ids([item.payload], "subscription_id"):
        this = policy.of_event(event, subscription_id)
        if not await subscriptions.end(session, "removed", now, this, by=None):
            await removed(session, event, [{"subscription_id": subscription_id}], now)


async def _manual_by_hand(
    session: AsyncSession, event: Event, item: HandItem, now: datetime
) -> None:
    message = _message(item.payload)
    await notifications.check_audience(session, event.id, message.audience())
    notification = await _ensure(
        session,
        event,
        NotificationKind.MANUAL,
        f"hand:{item.key}",
        now,
        title=message.title,
        body=message.body,
        audience=message.subscription_ids,
    )
    if notification.expanded_at is None:
        notifications.record_message(session, notification)
        await _expand_as_of(session, event, notification, now)


def _message(payload: dict[str, Any]) -> ManualMessage:
    """Validate the payload as over HTTP. Raises InvalidInput."""
    named = {name: payload[name] for name in _MESSAGE if name in payload}
    try:
        return ManualMessage.model_validate(named)
    except ValidationError as error:
        fields = {str(entry["loc"][0]): entry["msg"] for entry in error.errors()}
        raise InvalidInput(errors=[FieldError(*one) for one in fields.items()]) from None


async def _expand_as_of(
    session: AsyncSession, event: Event, notification: Notification, now: datetime
) -> None:
    """Expand for the audience at the request: later subscribers have the newer facts already."""
    if notification.expanded_at is not None:
        return
    conditions = [_belongs_to(event), Subscription.created_at <= notification.created_at]
    if notification.audience is not None:
        ids = _numbers(notification.audience, "subscription_ids")
        conditions.append(Subscription.id.in_(sql.id_list(session, ids)))
    expires_at = max(notification.created_at, now) + expansion.MESSAGE_LIFETIME
    await expansion.expand(session, notification, *conditions, now=now, expires_at=expires_at)


async def _ensure(
    session: AsyncSession, event: Event, kind: str, key: str, at: datetime, **values: Any
) -> Notification:
    return await expansion.get_or_create(
        session, event_id=event.id, kind=kind, dedup_key=key, created_at=at, **values
    )


def _belongs_to(event: Event) -> Any:
    return Subscription.event_id == event.id


def _ids(payloads: Payloads, name: str) -> list[int]:
    return _numbers((payload[name] for payload in payloads if name in payload), name)


def _numbers(values: Any, name: str) -> list[int]:
    """Read the ids of a payload. Raises InvalidInput for anything else."""
    try:
        ids = [int(value) for value in values]
    except (TypeError, ValueError):
        ids = [0]
    if not all(0 < one <= MAX_ID for one in ids):
        raise InvalidInput(name, "must be ids")
    return ids
