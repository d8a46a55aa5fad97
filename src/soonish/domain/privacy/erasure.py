"""Erase a person, leaving only a row without identity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, delete, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import Delete, Update

from soonish.delivery.ledger.states import NO_LEASE, transition
from soonish.delivery.texts.content import Change
from soonish.delivery.texts.humanize import describe_changes
from soonish.delivery.transports.outcome import Outcome
from soonish.domain.accounts import sessions, sign_in
from soonish.domain.accounts.limits import LoginGuard
from soonish.domain.accounts.principal import SessionAccess
from soonish.domain.accounts.service import record_change
from soonish.domain.events import service as events
from soonish.domain.subscriptions import service as subscriptions
from soonish.errors import Forbidden, InvalidInput, Unauthorized
from soonish.identity.users import lock_live_user
from soonish.infra.db.models.accounts import (
    ApiToken,
    OidcIdentity,
    Registration,
    Session,
    Token,
    User,
)
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.models.events import Event, EventOrganizer, EventUpdate, Invitation
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import (
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    Notification,
)
from soonish.infra.db.models.subscriptions import Subscription, SubscriptionSelector
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams

FRESH_SIGN_IN = timedelta(minutes=15)  # maximum age of a sign-in that replaces the password
ERASED = "erased"
_CHOSEN_REMINDERS = (
    "reminder_offsets",
    "end_reminder_offsets",
    "countdown_every_seconds",
    "countdown_from_seconds",
)


async def erase_account(
    db: Database,
    guard: LoginGuard,
    access: SessionAccess,
    current_password: str | None,
) -> None:
    """Erase the current user for good.

    A sign-in of the last 15 minutes replaces the password if that is None. Raise InvalidInput
    (`current_password` is missing or wrong), Forbidden `sign_in_again` (there is no password, and
    the sign-in is older), TooManyRequests.
    """
    await _require_proof(guard, access, current_password)
    async with db.write() as session:
        await erase(session, access.user.id, utc_now())


async def _require_proof(
    guard: LoginGuard, access: SessionAccess, current_password: str | None
) -> None:
    hashed = access.user.password_hash
    if hashed is None or current_password is None:
        if utc_now() - access.session.created_at <= FRESH_SIGN_IN:
            return
        if hashed is None:
            raise Forbidden("Please sign in again first.", code="sign_in_again")
    if not current_password:
        raise InvalidInput("current_password", "Your password is needed for this.")
    try:
        account = access.user.email_fingerprint
        await sign_in.check_password(guard, account, current_password, hashed)
    except Unauthorized:
        raise InvalidInput("current_password", "This is not the present password.") from None


async def erase(session: AsyncSession, user_id: int, now: datetime) -> None:
    """Erase all of the person's data, cancelling their own events with notice first.

    The organizers' ledger and the audit log keep their rows without identity. Raise Gone if the
    person was erased meanwhile.
    """
    own = await _lock_own_events(session, user_id)
    user = await lock_live_user(session, user_id)
    for event in own + await _lock_own_events(session, user_id, but=[event.id for event in own]):
        await _close_event(session, event, now)
    await _end_subscriptions(session, user_id, now)
    await stop_deliveries(session, user_id, now)
    await _forget_channels(session, user_id, now)
    await _end_access(session, user_id)
    record_change(session, "user.erase", user)
    _leave_tombstone(user, now)
    await session.flush()
    await _erase_client_addresses(session, user_id)


async def _lock_own_events(
    session: AsyncSession, user_id: int, but: Sequence[int] = ()
) -> list[Event]:
    """Lock events before the user, the usual order; repeat it for one created meanwhile."""
    query = select(Event).where(Event.owner_user_id == user_id, Event.id.not_in(but))
    return list(await session.scalars(query.order_by(Event.id).with_for_update()))


async def _close_event(session: AsyncSession, event: Event, now: datetime) -> None:
    """Remove the contact; cancel the event, notifying its subscribers, unless it is over."""
    await forget_contact(session, event)
    if event.over_at > now:
        await events.cancel_locked(session, event, now)


async def _end_subscriptions(session: AsyncSession, user_id: int, now: datetime) -> None:
    """End all subscriptions silently; the events' workflows remove the reminders."""
    mine = Subscription.user_id == user_id
    active = select(Subscription.id).where(mine, Subscription.ended_at.is_(None))
    for subscription_id in (await session.scalars(active)).all():
        which = Subscription.id == subscription_id
        await subscriptions.end(session, ERASED, now, which, by=user_id)
    ids = select(Subscription.id).where(mine)
    chosen = SubscriptionSelector.subscription_id.in_(ids)
    await session.execute(_drop(SubscriptionSelector, chosen))
    await session.execute(_change(Subscription, mine, **dict.fromkeys(_CHOSEN_REMINDERS)))


async def stop_deliveries(session: AsyncSession, user_id: int, now: datetime) -> None:
    """Stop all pending deliveries and erase targets from the ledger.

    A row that is being sent loses its lease, so its holder cannot mark it.
    """
    mine = Delivery.user_id == user_id
    await session.execute(_drop(Notification, Notification.id.in_(_account_mails(user_id))))
    await session.execute(
        transition(
            DeliveryState.SUPPRESSED,
            mine,
            outcome=Outcome.UNSUBSCRIBED,
            finished_at=now,
            next_attempt_at=None,
            **NO_LEASE,
        )
    )
    nameless = literal(f"{ERASED}:", String) + cast(Delivery.id, String)
    await session.execute(
        _change(Delivery, mine, target_key=nameless, integration_id=None, outcome_detail=None)
    )
    ids = select(Delivery.id).where(mine)
    await session.execute(
        _change(DeliveryAttempt, DeliveryAttempt.delivery_id.in_(ids), detail=None)
    )
    requested = Notification.requested_by == user_id
    await session.execute(_change(Notification, requested, idempotency_key=None, request_hash=None))


def _account_mails(user_id: int) -> Any:
    return (
        select(Delivery.notification_id)
        .join(Notification, Notification.id == Delivery.notification_id)
        .where(Delivery.user_id == user_id, Notification.event_id.is_(None))
    )


async def _forget_channels(session: AsyncSession, user_id: int, now: datetime) -> None:
    """Erase the channels' data, keeping the rows for the ledger as for deleted channels."""
    await session.execute(
        _change(
            Integration,
            Integration.user_id == user_id,
            apprise_url=None,
            url_fingerprint=literal(f"{ERASED}:", String) + cast(Integration.id, String),
            name=ERASED,
            tag=ERASED,
            target="",
            is_active=False,
            deleted_at=func.coalesce(Integration.deleted_at, now),
        )
    )


async def _end_access(session: AsyncSession, user_id: int) -> None:
    """Delete sessions, tokens, identities, claims, roles and invitations; their workflows end."""
    await sessions.end_all(session, user_id)
    claimed = or_(Registration.user_id == user_id, Registration.claimant_user_id == user_id)
    for stream in await session.scalars(select(Registration.workflow_id).where(claimed)):
        outbox.add(session, stream, streams.VERIFICATION_COMPLETED, {"user_id": user_id})
    await session.flush()
    for table, which in (
        (Session, Session.user_id == user_id),
        (Token, Token.user_id == user_id),
        (Registration, claimed),
        (ApiToken, ApiToken.user_id == user_id),
        (OidcIdentity, OidcIdentity.user_id == user_id),
        (EventOrganizer, EventOrganizer.user_id == user_id),
        (Invitation, Invitation.user_id == user_id),
    ):
        await session.execute(_drop(table, which))


async def _erase_client_addresses(session: AsyncSession, user_id: int) -> None:
    """Erase client addresses from the audit log, including those of anonymous subscriptions."""
    mine = Subscription.user_id == user_id
    anonymous = and_(
        AuditEntry.event_id.in_(select(Subscription.event_id).where(mine)),
        AuditEntry.object_type == "subscription",
        AuditEntry.object_id.in_(select(Subscription.id).where(mine)),
        AuditEntry.actor_user_id.is_(None),
    )
    for which in (AuditEntry.actor_user_id == user_id, anonymous):
        await session.execute(_change(AuditEntry, which, client=None))


def _leave_tombstone(user: User, now: datetime) -> None:
    for name in ("email", "email_fingerprint", "name", "timezone", "locale", "password_hash"):
        setattr(user, name, None)
    user.is_verified = user.is_admin = False
    user.verified_at = None
    user.token_epoch += 1
    user.erased_at = now


def _change(table: type[Any], which: ColumnElement[bool], **values: Any) -> Update:
    return update(table).where(which).values(**values).execution_options(synchronize_session=False)


def _drop(table: type[Any], which: ColumnElement[bool]) -> Delete:
    return delete(table).where(which).execution_options(synchronize_session=False)


CONTACT = "contact"


async def forget_contact(session: AsyncSession, event: Event) -> None:
    """Remove the contact from the event, its update log and its messages."""
    event.contact = None
    logged = select(EventUpdate).where(
        EventUpdate.event_id == event.id, EventUpdate.changes.is_not(None)
    )
    for entry in await session.scalars(logged):
        kept = _without_contact(entry.changes or [])
        if kept != entry.changes:
            entry.changes, entry.body = kept, _in_words(kept, event.timezone)
    told = select(Notification).where(
        Notification.event_id == event.id, Notification.kind == "update"
    )
    for notification in await session.scalars(told):
        content = notification.content or {}
        kept = _without_contact(content.get("changes", []))
        if kept != content.get("changes", []):
            notification.content = content | {"changes": kept}
            notification.body = _in_words(kept, event.timezone)


def _without_contact(changes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [change for change in changes if change["field"] != CONTACT]


def _in_words(changes: Sequence[dict[str, Any]], timezone: str) -> str:
    made = describe_changes([Change(**change) for change in changes], timezone)
    return "\n".join(f"{name}: {old} → {new}" for name, old, new in made)
