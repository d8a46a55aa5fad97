"""What each kind of outbox row announces: the notification and its ledger rows.

Every handler takes the payloads of a run of rows of its kind, and may be called again with the
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
from soonish.infra.db.models.events import Event, EventUpdate
from soonish.infra.db.models.notifications import Delivery, Notification, State
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.outbox import streams
from soonish.kit.schemas import MAX_ID
from soonish.workflow_types import HandItem

Payloads = Sequence[dict[str, Any]]
_MESSAGE = ("title", "body", "subscription_ids")  # what a message by hand may say (CONTRACT)


async def nothing(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """A wake: the plan that follows says what there is to do."""


async def created(session: AsyncSession, event: Event, now: datetime) -> None:
    """The organizer's creation notice, once per event."""
    known = select(Notification.id).where(Notification.dedup_key == f"created:{event.id}")
    if await session.scalar(known) is not None:
        return
    notification = await _ensure(session, event, "created", f"created:{event.id}", now)
    session.add(
        Delivery(
            notification_id=notification.id,
            user_id=event.owner_user_id,
            target_key=MAIL,
            state=State.PENDING,
            expires_at=now + expansion.MESSAGE_LIFETIME,
            created_at=now,
        )
    )
    notification.expanded_at = now
    await session.flush()


async def added(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """Welcome these subscriptions: one notification per event, a delivery each.

    A `muted` one has a row too, suppressed: its address has had enough mails that strangers cause.
    """
    welcome = await _ensure(session, event, "welcome", f"welcome:{event.id}", now)
    chosen = Subscription.id.in_(sql.id_list(session, _ids(payloads, "subscription_id")))
    await expansion.expand(session, welcome, chosen, _of(event), now=now)
    if muted := _ids([one for one in payloads if one.get("muted")], "subscription_id"):
        await expansion.mute(session, welcome, muted, now)


async def removed(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """Say goodbye: by the service's mail, since the person may have no channel any more."""
    chosen = Subscription.id.in_(sql.id_list(session, _ids(payloads, "subscription_id")))
    reasons = select(Subscription.end_reason).where(chosen, _of(event)).distinct()
    for kind in {"removed", "unsubscribed"} & set((await session.scalars(reasons)).all()):
        farewell = await _ensure(session, event, kind, f"{kind}:{event.id}", now)
        ended = and_(chosen, Subscription.end_reason == kind, _of(event))
        await expansion.add_mail(session, farewell, ended, now=now)
    for payload in payloads:
        if payload.get("notify_others"):
            await _tell_others(session, event, int(payload["subscription_id"]), now)


async def _tell_others(
    session: AsyncSession, event: Event, subscription_id: int, now: datetime
) -> None:
    notification = await _ensure(
        session,
        event,
        "manual",
        f"removed-others:{subscription_id}",
        now,
        title=f"Somebody left {event.name}",
        body=f"The organizer of {event.name} removed a subscriber.",
    )
    await expansion.expand(session, notification, _of(event), now=now)


async def updated(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """Tell everybody what changed, old and new; by hand without `update_id`: only a wake."""
    for update_id in _ids(payloads, "update_id"):
        update = await session.get(EventUpdate, update_id)
        if update is None or update.event_id != event.id:
            raise InvalidInput("update_id", "is not of this event")
        notification = await _ensure(
            session,
            event,
            "update",
            f"update:{update_id}",
            update.created_at,
            title=update.title,
            body=update.body,
            content={"changes": update.changes or [], "title": None, "body": None},
        )
        await _expand_as_of(session, event, notification, now)


async def manual(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """The organizer's own message, to all or to the chosen ones."""
    for notification_id in _ids(payloads, "notification_id"):
        notification = await expansion.lock(session, notification_id)
        if notification is None or notification.event_id != event.id:
            raise InvalidInput("notification_id", "is not of this event")
        await _expand_as_of(session, event, notification, now)


async def cancelled(session: AsyncSession, event: Event, payloads: Payloads, now: datetime) -> None:
    """Tell everybody; what was not sent of earlier notifications is not sent any more."""
    key = f"cancelled:{event.id}"
    notification = await _ensure(session, event, "cancelled", key, event.cancelled_at or now)
    await expansion.suppress_open(session, event.id, notification.id, now)
    await _expand_as_of(session, event, notification, now)


HANDLERS = {
    streams.PARTICIPANT_ADDED: added,
    streams.PARTICIPANT_REMOVED: removed,
    streams.EVENT_UPDATED: updated,
    streams.SEND_MANUAL_NOTIFICATION: manual,
    streams.CANCEL_EVENT: cancelled,
    streams.WAKE: nothing,
}

TO_ALL = (streams.EVENT_UPDATED, streams.SEND_MANUAL_NOTIFICATION, streams.CANCEL_EVENT)


async def by_hand(
    session: AsyncSession, event: Event, item: HandItem, now: datetime, *, grace: timedelta
) -> None:
    """A signal that did not come from the outbox; what is refused is logged by the caller."""
    if item.kind == streams.SEND_MANUAL_NOTIFICATION and "notification_id" not in item.payload:
        policy.require_open_for_messages(event, grace, now)
        await _manual_by_hand(session, event, item, now)
    elif item.kind == streams.CANCEL_EVENT and event.cancelled_at is None:
        await session.refresh(event, with_for_update=True)
        await cancel_locked(session, event, now)
    elif item.kind == streams.PARTICIPANT_REMOVED:
        await _remove_by_hand(session, event, item, now)
    else:
        handler = HANDLERS.get(item.kind, nothing)
        await handler(session, event, [item.payload], now)


async def _remove_by_hand(
    session: AsyncSession, event: Event, item: HandItem, now: datetime
) -> None:
    """As an organizer's removal; one that has ended is told that it has, if it was not yet."""
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
        "manual",
        f"hand:{item.key}",
        now,
        title=message.title,
        body=message.body,
        audience=message.subscription_ids,
    )
    if notification.expanded_at is None:
        notifications.note(session, notification)
        await _expand_as_of(session, event, notification, now)


def _message(payload: dict[str, Any]) -> ManualMessage:
    """As over HTTP. Raises InvalidInput."""
    named = {name: payload[name] for name in _MESSAGE if name in payload}
    try:
        return ManualMessage.model_validate(named)
    except ValidationError as error:
        fields = {str(entry["loc"][0]): entry["msg"] for entry in error.errors()}
        raise InvalidInput(errors=[FieldError(*one) for one in fields.items()]) from None


async def _expand_as_of(
    session: AsyncSession, event: Event, notification: Notification, now: datetime
) -> None:
    """The audience as of the request: whoever subscribed later has the newer facts already."""
    if notification.expanded_at is not None:
        return
    conditions = [_of(event), Subscription.created_at <= notification.created_at]
    if notification.audience is not None:
        ids = _numbers(notification.audience, "subscription_ids")
        conditions.append(Subscription.id.in_(sql.id_list(session, ids)))
    expires_at = max(notification.created_at, now) + expansion.MESSAGE_LIFETIME
    await expansion.expand(session, notification, *conditions, now=now, expires_at=expires_at)


async def _ensure(
    session: AsyncSession, event: Event, kind: str, key: str, at: datetime, **values: Any
) -> Notification:
    return await expansion.ensure(
        session, event_id=event.id, kind=kind, dedup_key=key, created_at=at, **values
    )


def _of(event: Event) -> Any:
    return Subscription.event_id == event.id


def _ids(payloads: Payloads, name: str) -> list[int]:
    return _numbers((payload[name] for payload in payloads if name in payload), name)


def _numbers(values: Any, name: str) -> list[int]:
    """Ids as they come in a payload. Raises InvalidInput for anything else."""
    try:
        ids = [int(value) for value in values]
    except (TypeError, ValueError):
        ids = [0]
    if not all(0 < one <= MAX_ID for one in ids):
        raise InvalidInput(name, "must be ids")
    return ids
