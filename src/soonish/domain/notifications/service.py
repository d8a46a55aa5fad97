"""Organizers' requests: send a message of their own, and retry failed deliveries."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger import completion
from soonish.domain.access import policy
from soonish.domain.notifications import queries
from soonish.domain.notifications.audience import Audience, ids_of
from soonish.domain.notifications.schemas import Accepted, ManualMessage, Retried
from soonish.errors import Conflict, InvalidInput
from soonish.infra.audit import service as audit
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event, EventUpdate
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database
from soonish.infra.db.sql import id_list
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams
from soonish.infra.rate_limits.limits import NOTIFY, Meter

KEY_LENGTH = 255


async def notify(
    db: Database,
    meter: Meter,
    event_id: int,
    user: User,
    message: ManualMessage,
    idempotency_key: str | None,
    *,
    grace: timedelta,
) -> Accepted:
    """Accept a message as request_manual does, in a transaction of its own.

    Raise TooManyRequests beyond the limit of the event's organizers.
    """
    async with db.read() as session:  # only organizers are counted
        await policy.require_organizer(session, event_id, user)
    await meter.require(NOTIFY, str(event_id))
    async with db.write() as session:
        return await request_manual(
            session, event_id, user, message, idempotency_key, utc_now(), grace=grace
        )


async def request_manual(
    session: AsyncSession,
    event_id: int,
    user: User,
    message: ManualMessage,
    idempotency_key: str | None,
    now: datetime,
    *,
    grace: timedelta,
) -> Accepted:
    """Accept an organizer's message to the current audience of the event.

    Return the notification's id and its audience, the number of active subscriptions. A key that
    this user has used for this event returns the earlier message and sends nothing. Raise Conflict
    `event_cancelled`, `event_over` (past for longer than `grace`), `idempotency_key_reused`;
    InvalidInput for ids of other events.
    """
    event = await policy.require_organizer(session, event_id, user, lock="update")
    request_hash = _hash(message)
    _check_key(idempotency_key)
    notification = await _earlier(session, event, user, idempotency_key)
    if notification is None:
        policy.require_open_for_messages(event, grace, now)
        notification = await _manual(session, event, user, message, now)
        notification.idempotency_key, notification.request_hash = idempotency_key, request_hash
        await _accept(session, event, notification)
    elif notification.request_hash != request_hash:
        raise Conflict(
            "This Idempotency-Key was used with another message.", code="idempotency_key_reused"
        )
    audience = await queries.audience_size(session, notification)
    return Accepted(notification_id=notification.id, audience=audience)


async def retry(
    session: AsyncSession, event_id: int, notification_id: int, user: User, now: datetime
) -> Retried:
    """Retry the failed deliveries as retry_failed does, for the event's organizers."""
    _, row = await policy.require_notification(session, event_id, notification_id, user)
    return Retried(notification_id=row.id, retried=await retry_failed(session, row, now))


async def retry_failed(session: AsyncSession, notification: Notification, now: datetime) -> int:
    """Reset the failed deliveries to pending, with all their attempts; return how many.

    Raise Conflict `notification_expired` if it is too late for all of them.
    """
    revived = await completion.retry_failed(session, notification.id, now)
    mine = (Delivery.notification_id == notification.id, Delivery.state == DeliveryState.FAILED)
    if revived:
        outbox.add(session, streams.broadcast(notification.id), streams.WAKE, {})
        _record(session, "notification.retry", notification, audit.actor(), deliveries=revived)
    elif await session.scalar(select(func.count()).select_from(Delivery).where(*mine)):
        raise Conflict("It is too late to send this again.", code="notification_expired")
    return revived


async def check_audience(session: AsyncSession, event_id: int, audience: Audience) -> None:
    """Raise InvalidInput if the audience names subscriptions of other events."""
    ids = audience.subscription_ids
    if not ids:
        return
    query = select(Subscription.id).where(
        Subscription.event_id == event_id, Subscription.id.in_(id_list(session, ids))
    )
    if unknown := set(ids) - set(await session.scalars(query)):
        raise InvalidInput("subscription_ids", f"{min(unknown)} is no subscription of this event")


def _hash(message: ManualMessage) -> str:
    """Hash the request, not its result: a filter may match others when it is repeated."""
    audience = message.audience()
    asked: list[object] = [message.title, message.body, _sorted(audience)]
    if audience.is_filtered:
        asked += [audience.channel, audience.last_failed]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _sorted(audience: Audience) -> list[int] | None:
    ids = audience.subscription_ids
    return None if ids is None else sorted(set(ids))


async def _ids(session: AsyncSession, event: Event, audience: Audience) -> list[int] | None:
    return await ids_of(session, event.id, audience) if audience.is_filtered else _sorted(audience)


def _check_key(key: str | None) -> None:
    if key is None:
        return
    if not key.strip() or len(key) > KEY_LENGTH or not key.isprintable():
        raise InvalidInput("Idempotency-Key", f"must have 1 to {KEY_LENGTH} printable characters")


async def _earlier(
    session: AsyncSession, event: Event, user: User, key: str | None
) -> Notification | None:
    """Return the earlier equal request; the event's lock has serialised them."""
    if key is None:
        return None
    query = select(Notification).where(
        Notification.event_id == event.id,
        Notification.requested_by == user.id,
        Notification.idempotency_key == key,
    )
    return (await session.scalars(query)).one_or_none()


async def _manual(
    session: AsyncSession, event: Event, user: User, message: ManualMessage, now: datetime
) -> Notification:
    await check_audience(session, event.id, message.audience())
    return Notification(
        event_id=event.id,
        kind="manual",
        dedup_key=f"manual:{uuid.uuid4()}",
        title=message.title,
        body=message.body,
        audience=await _ids(session, event, message.audience()),
        requested_by=user.id,
        created_at=now,
    )


async def _accept(session: AsyncSession, event: Event, notification: Notification) -> None:
    session.add(notification)
    await session.flush()
    record_message(session, notification)
    payload = {"notification_id": notification.id}
    outbox.add(session, event.temporal_workflow_id, streams.SEND_MANUAL_NOTIFICATION, payload)


def record_message(session: AsyncSession, notification: Notification) -> None:
    """Record an organizer's message in the audit log and, if it is to all, in the public update
    log."""
    to_all = notification.audience is None
    if to_all:
        session.add(
            EventUpdate(
                event_id=notification.event_id,
                category="announcement",
                title=notification.title,
                body=notification.body,
                created_at=notification.created_at,
            )
        )
    _record(session, "event.notify", notification, notification.requested_by, to_all=to_all)


def _record(
    session: AsyncSession,
    action: str,
    notification: Notification,
    actor_id: int | None,
    **details: Any,
) -> None:
    on = ("notification", notification.id)
    audit.record(session, action, actor_id, on=on, event_id=notification.event_id, **details)
