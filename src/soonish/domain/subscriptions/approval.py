"""Approval of subscriptions: the organizers decide, and the applicant is notified."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.domain.access.policy import of_event, require_open, require_organizer
from soonish.domain.reminders import service as reminders
from soonish.domain.subscriptions import queries
from soonish.domain.subscriptions.service import end
from soonish.domain.subscriptions.start import announce
from soonish.errors import Conflict, NotFound
from soonish.infra.audit.service import record
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.subscriptions import ACTIVE, Subscription

MAIL_LIFETIME = timedelta(days=3)


async def approve(
    session: AsyncSession, event_id: int, actor: User, subscription_id: int, now: datetime
) -> bool:
    """Approve a subscription as approve_one does, for the event's organizers."""
    event = await require_organizer(session, event_id, actor, lock="share")
    return await approve_one(session, event, actor, subscription_id, now)


async def approve_one(
    session: AsyncSession, event: Event, actor: User, subscription_id: int, now: datetime
) -> bool:
    """Activate the subscription and welcome its user; return False if it is active already.

    The event is locked FOR SHARE. Raise NotFound for a subscription of another event or an ended
    one, Conflict if the event is over or cancelled.
    """
    require_open(event, now)
    this = of_event(event, subscription_id)
    if await queries.approve(session, now, this) is None:
        await _require_active(session, this)
        return False
    subscription = await queries.find_current(session, subscription_id, lock=True)
    if subscription is not None:
        await reminders.plan_subscription(session, event, subscription, now)
    await announce(session, event, subscription_id, ACTIVE, now)
    record(
        session,
        "subscription.approve",
        actor.id,
        on=("subscription", subscription_id),
        event_id=event.id,
    )
    return True


async def reject(
    session: AsyncSession, event_id: int, actor: User, subscription_id: int, now: datetime
) -> bool:
    """Reject the request and notify the applicant; return False if it was rejected before.

    Raise NotFound for a subscription of another event or one that ended otherwise, Conflict
    `already_approved` if it is active.
    """
    event = await require_organizer(session, event_id, actor, lock="share")
    this = of_event(event, subscription_id)
    waiting = this & (Subscription.status != ACTIVE)
    if not await end(session, "rejected", now, waiting, by=actor.id):
        if await queries.exists(session, this & (Subscription.end_reason == "rejected")):
            return False
        await _require_active(session, this)
        message = "This subscription is active; remove it instead."
        raise Conflict(message, code="already_approved")
    await _tell(session, event, subscription_id)
    return True


async def _require_active(session: AsyncSession, this: ColumnElement[bool]) -> None:
    is_there = this & Subscription.ended_at.is_(None)
    if not await queries.exists(session, is_there):
        raise NotFound("There is no such subscription.")


async def _tell(session: AsyncSession, event: Event, subscription_id: int) -> None:
    subscription = await session.get_one(Subscription, subscription_id)
    await add_account_mail(
        session,
        subscription.user_id,
        "rejected",
        dedup_key=f"rejected:{subscription_id}",
        lifetime=MAIL_LIFETIME,
        extra={"event": event.name},
    )
