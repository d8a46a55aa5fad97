"""Double opt-in: an address confirms by mail before it is subscribed (ANONYMOUS_OPT_IN=double)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.domain.access import subscription_queries
from soonish.domain.access.policy import Admission, require_confirmable, require_open
from soonish.domain.subscriptions import queries
from soonish.domain.subscriptions.start import announce, count_use, record_start
from soonish.errors import Gone, NotFound
from soonish.identity import tokens
from soonish.identity.tokens import LIFETIMES, Purpose
from soonish.identity.users import is_live
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.subscriptions import ACTIVE, PENDING_CONFIRMATION, Subscription

LIFETIME = LIFETIMES[Purpose.CONFIRM_SUBSCRIPTION]
PAUSE = timedelta(hours=1)  # between two mails about one subscription


async def request_confirmation(
    session: AsyncSession,
    event: Event,
    user_id: int,
    now: datetime,
    admission: Admission,
    *,
    muted: bool = False,
) -> bool:
    """Create a subscription that awaits confirmation and mail the request; return whether one is
    mailed.

    An existing request is mailed again at most once an hour; an active subscription stays as it is.
    With `muted` the mail is in the ledger as suppressed and not sent. Raise Conflict if the
    invitation has been used up.
    """
    admitted_as = None if event.is_public else admission.status
    subscription_id = await queries.insert_unless_there(
        session, event.id, user_id, now, PENDING_CONFIRMATION, admitted_as
    )
    if subscription_id is not None:
        await count_use(session, admission, now)
    else:
        if admitted_as and await queries.set_admission(session, event.id, user_id, admitted_as):
            await count_use(session, admission, now)
        subscription_id = await queries.repeat_request(session, event.id, user_id, now, PAUSE)
    if subscription_id is None:
        return False
    await _mail(session, event, user_id, subscription_id, now, muted=muted)
    return True


def asked_or_active(now: datetime) -> ColumnElement[bool]:
    """Return the condition for subscriptions for which another request sends no mail."""
    was_asked = Subscription.created_at > now - PAUSE
    return and_(
        Subscription.ended_at.is_(None), or_(subscription_queries.is_confirmed(), was_asked)
    )


async def _mail(
    session: AsyncSession,
    event: Event,
    user_id: int,
    subscription_id: int,
    now: datetime,
    *,
    muted: bool,
) -> None:
    purpose = Purpose.CONFIRM_SUBSCRIPTION
    await add_account_mail(
        session,
        user_id,
        purpose,
        dedup_key=f"{purpose}:{subscription_id}:{now.timestamp()}",
        lifetime=LIFETIME,
        extra={
            "purpose": purpose.value,
            "event": event.name,
            "subscription_id": subscription_id,
        },
        muted=muted,
    )


async def find_by_token(
    session: AsyncSession, token: str, *, lock: bool = False
) -> tuple[Event, Subscription]:
    """Return the event and subscription a token confirms, FOR SHARE and FOR UPDATE if asked.

    Raise Gone if the token is unknown or expired, the subscription has ended, or the event is not
    (or no longer) visible to the subscriber. A used token stays valid while its subscription lasts.
    """
    row = await tokens.find_even_used(session, (Purpose.CONFIRM_SUBSCRIPTION,), token)
    waiting = await queries.find_current(session, row.subscription_id or 0)
    user = waiting and await session.get(User, waiting.user_id)
    if waiting is None or user is None or not is_live(user):
        raise Gone
    try:
        event = await require_confirmable(session, waiting, user, lock="share" if lock else None)
    except NotFound:
        raise Gone from None
    subscription = await queries.find_current(session, waiting.id, lock=lock)
    if subscription is None:
        raise Gone
    return event, subscription


async def confirm(session: AsyncSession, token: str, now: datetime) -> tuple[Event, str]:
    """Confirm the token's subscription and announce it; return its event and new status.

    It becomes active, or awaits approval if its invitation requires that. Repeating it does nothing
    while the subscription lasts. Raise Gone as `find_by_token` does, Conflict if the event is over
    or cancelled.
    """
    event, subscription = await find_by_token(session, token, lock=True)
    if subscription.status == PENDING_CONFIRMATION:
        require_open(event, now)
        status = ACTIVE if event.is_public else subscription.admitted_as or ACTIVE
        await queries.confirm(session, now, Subscription.id == subscription.id, status)
        await tokens.use_up(session, subscription.id)
        await announce(session, event, subscription.id, status, now)
        record_start(session, event, subscription.id, status, None, by="confirmation")
        return event, status
    return event, subscription.status
