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
from soonish.errors import Conflict, InvalidInput
from soonish.infra.audit import service as audit
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event, EventUpdate
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.sql import id_list
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams

KEY_LENGTH = 255


async def request_manual(
    session: AsyncSession,
    event: Event,
    user: User,
    title: str,
    body: str,
    audience: Audience,
    idempotency_key: str | None,
    now: datetime,
    *,
    grace: timedelta,
) -> tuple[Notification, int]:
    """Accept a message to the current audience of the locked event.

    Return the notification and its audience, the number of active subscriptions. A key that this
    user has used for this event returns the earlier message and sends nothing. Raise Conflict
    `event_cancelled`, `event_over` (past for longer than `grace`), `idempotency_key_reused`;
    InvalidInput for ids of other events.
    """
    request_hash = _hash(title, body, audience)
    _check_key(idempotency_key)
    earlier = await _earlier(session, event, user, idempotency_key)
    if earlier is None:
        policy.require_open_for_messages(event, grace, now)
        await check_audience(session, event.id, audience)
        ids = await _ids(session, event, audience)
        notification = _manual(event, user, title, body, ids, now)
        notification.idempotency_key, notification.request_hash = idempotency_key, request_hash
        await _accept(session, event, notification)
        return notification, await queries.audience_size(session, notification)
    if earlier.request_hash != request_hash:
        raise Conflict(
            "This Idempotency-Key was used with another message.", code="idempotency_key_reused"
        )
    return earlier, await queries.audience_size(session, earlier)


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


def _hash(title: str, body: str, audience: Audience) -> str:
    """Hash the request, not its result: a filter may match others when it is repeated."""
    asked: list[object] = [title, body, _sorted(audience)]
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


def _manual(
    event: Event, user: User, title: str, body: str, ids: list[int] | None, now: datetime
) -> Notification:
    return Notification(
        event_id=event.id,
        kind="manual",
        dedup_key=f"manual:{uuid.uuid4()}",
        title=title,
        body=body,
        audience=ids,
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
