"""Start a subscription: at once, or when an organizer has approved it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.domain.access import invitation_queries, organizers
from soonish.domain.access.policy import Admission, invitation_used_up
from soonish.domain.subscriptions import queries
from soonish.infra.audit import service as audit
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.subscriptions import ACTIVE, PENDING_APPROVAL, Subscription
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams

APPROVAL_MAIL = "approval_wanted"  # the kind of mail
MAX_APPROVAL_MAILS = 24  # such mails a day to one person, however often somebody asks and withdraws
MAIL_LIFETIME = timedelta(days=3)


async def start_subscription(
    session: AsyncSession,
    event: Event,
    user_id: int,
    now: datetime,
    admission: Admission,
    *,
    muted: bool = False,
) -> int | None:
    """Create the admitted subscription, or advance one that waits; return its id, None if
    unchanged.

    With `muted` there is no welcome. Raise Conflict `invitation_used_up` if others were faster.
    """
    status = admission.status
    if status is None:
        return None
    admitted_as = status if admission.invitation else None
    began = await queries.insert_unless_there(session, event.id, user_id, now, status, admitted_as)
    if began is None:
        if admitted_as is not None:
            await queries.set_admission(session, event.id, user_id, admitted_as)
        began = await _move_on(session, event, user_id, now, status)
    if began is not None:
        await count_use(session, admission, now)
        await announce(session, event, began, status, now, muted=muted)
        record_start(session, event, began, status, audit.actor())
    return began


async def count_use(session: AsyncSession, admission: Admission, now: datetime) -> None:
    """Count a use of the invitation, if any. Raise Conflict if it has none left."""
    used = admission.invitation
    if used is not None and not await invitation_queries.use(session, used.id, now):
        raise invitation_used_up()


async def announce(
    session: AsyncSession,
    event: Event,
    subscription_id: int,
    status: str,
    now: datetime,
    *,
    muted: bool = False,
) -> None:
    """Welcome a new subscriber, or tell the organizers about an approval request."""
    if status == PENDING_APPROVAL:
        await _tell_organizers(session, event, now)
    else:
        payload = {"subscription_id": subscription_id, **({"muted": True} if muted else {})}
        outbox.add(session, event.temporal_workflow_id, streams.PARTICIPANT_ADDED, payload)


def record_start(
    session: AsyncSession,
    event: Event,
    subscription_id: int,
    status: str,
    actor_id: int | None,
    **details: Any,
) -> None:
    """Audit the start of a subscription, or the request for one."""
    action = "subscription.ask" if status == PENDING_APPROVAL else "subscription.start"
    on = ("subscription", subscription_id)
    audit.record(session, action, actor_id, on=on, event_id=event.id, **details)


async def _move_on(
    session: AsyncSession, event: Event, user_id: int, now: datetime, status: str
) -> int | None:
    own = (Subscription.event_id == event.id) & (Subscription.user_id == user_id)
    moved = await queries.confirm(session, now, own, status)
    if moved is None and status == ACTIVE:
        moved = await queries.approve(session, now, own)
    return moved


async def _tell_organizers(session: AsyncSession, event: Event, now: datetime) -> None:
    """Mail organizers once per batch of requests: again only after the oldest one is decided."""
    oldest = await session.scalar(
        select(func.min(Subscription.id)).where(
            Subscription.event_id == event.id,
            Subscription.ended_at.is_(None),
            Subscription.status == PENDING_APPROVAL,
        )
    )
    for user_id in await organizers.user_ids(session, event):
        if await _mailed_today(session, user_id, now) >= MAX_APPROVAL_MAILS:
            continue
        await add_account_mail(
            session,
            user_id,
            APPROVAL_MAIL,
            dedup_key=f"{APPROVAL_MAIL}:{event.id}:{oldest}:{now:%Y-%m-%d}:{user_id}",
            lifetime=MAIL_LIFETIME,
            extra={"event": event.name, "event_id": event.id},
        )


async def _mailed_today(session: AsyncSession, user_id: int, now: datetime) -> int:
    query = select(func.count()).where(
        Delivery.user_id == user_id,
        Delivery.created_at > now - timedelta(days=1),
        Notification.id == Delivery.notification_id,
        Notification.kind == APPROVAL_MAIL,
    )
    return await session.scalar(query) or 0
