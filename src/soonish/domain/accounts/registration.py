"""The life of a registration: mailed, then proven or removed after 7 days.

See docs/architecture.md#workflows.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.errors import Gone
from soonish.identity.tokens import LIFETIMES, Purpose
from soonish.identity.users import find_registration, is_live, lock_open_registrations, lock_user
from soonish.infra.db.models.accounts import Registration, Session, User
from soonish.infra.db.models.events import Event, EventOrganizer, Invitation
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams

_TELL_OWNER_WITHIN = timedelta(days=1)


async def send_mail(session: AsyncSession, workflow_id: str, base_url: str) -> None:
    """Send the registration's mail once: to prove the address, or to warn its owner."""
    await outbox.finish(session, workflow_id)
    found = await find_registration(session, workflow_id)
    user = found and await lock_user(session, found.user_id)
    registration = found and await _lock(session, found.id)
    if user is None or registration is None:
        return
    if user.is_verified:
        _complete(session, registration)
        if is_live(user):
            await _tell_owner(session, registration, base_url)
    elif is_live(user):
        await _ask_for_proof(session, registration)


async def _tell_owner(session: AsyncSession, registration: Registration, base_url: str) -> None:
    await add_account_mail(
        session,
        registration.user_id,
        "already_registered",
        dedup_key=registration.workflow_id,
        lifetime=_TELL_OWNER_WITHIN,
        extra={"url": f"{base_url}/login"},
    )


async def _ask_for_proof(session: AsyncSession, registration: Registration) -> None:
    claimed = registration.claimant_user_id is not None
    purpose = Purpose.NEW_EMAIL if claimed else Purpose.VERIFICATION
    await add_account_mail(
        session,
        registration.user_id,
        purpose,
        dedup_key=registration.workflow_id,
        lifetime=LIFETIMES[purpose],
        extra={"purpose": purpose.value, "registration_id": registration.id},
    )


async def expire_if_due(session: AsyncSession, workflow_id: str) -> float | None:
    """Return the seconds until the next check, None once the registration has ended.

    An expired one is removed, with its user if nothing else refers to it.
    """
    # First, so that whatever is marked done was committed before it is read.
    await outbox.finish(session, workflow_id)
    registration = await find_registration(session, workflow_id)
    if registration is None or registration.completed_at is not None:
        return None
    left = (registration.expires_at - utc_now()).total_seconds()
    if left <= 0:
        await _remove_expired(session, registration)
    return left if left > 0 else None


async def _remove_expired(session: AsyncSession, registration: Registration) -> None:
    user = await lock_user(session, registration.user_id)
    if await _lock(session, registration.id) is None:
        return
    await session.delete(registration)
    await session.flush()
    if user is not None:
        await _remove_if_orphan(session, user)


async def require_open(session: AsyncSession, registration_id: int) -> Registration:
    """Return the open registration, locked until the transaction ends. Raise Gone."""
    registration = await _lock(session, registration_id)
    if registration is None:
        raise Gone
    return registration


async def complete_all(session: AsyncSession, user_id: int) -> None:
    """Close every open claim on this user's address, and signal their workflows."""
    for row in await lock_open_registrations(session, Registration.user_id == user_id):
        _complete(session, row)


async def complete_claims_of(session: AsyncSession, claimant_user_id: int) -> None:
    """Close the account's own open claims on other addresses."""
    own = Registration.claimant_user_id == claimant_user_id
    for row in await lock_open_registrations(session, own):
        _complete(session, row)


async def _lock(session: AsyncSession, registration_id: int) -> Registration | None:
    rows = await lock_open_registrations(session, Registration.id == registration_id)
    return rows[0] if rows else None


def _complete(session: AsyncSession, registration: Registration) -> None:
    registration.completed_at = utc_now()
    registration.password_hash = registration.browser_hash = None
    payload = {"registration_id": registration.id}
    outbox.add(session, registration.workflow_id, streams.VERIFICATION_COMPLETED, payload)


async def _remove_if_orphan(session: AsyncSession, user: User) -> None:
    """Delete a (locked) user that was never more than an address somebody entered.

    A user who subscribed, owns something or received more than account mail stays.
    """
    if user.is_verified or user.is_admin or user.password_hash or not is_live(user):
        return
    if await _has_anything(session, user.id):
        return
    mails = select(Delivery.notification_id).where(Delivery.user_id == user.id)
    await session.execute(delete(Notification).where(Notification.id.in_(mails)))
    await session.delete(user)


async def _has_anything(session: AsyncSession, user_id: int) -> bool:
    needs = (
        exists().where(Subscription.user_id == user_id),
        exists().where(Event.owner_user_id == user_id),
        exists().where(Integration.user_id == user_id),
        exists().where(Session.user_id == user_id),
        exists().where(Notification.requested_by == user_id),
        exists().where(Registration.user_id == user_id),
        exists().where(Registration.claimant_user_id == user_id),
        exists().where(
            Delivery.user_id == user_id,
            Delivery.notification_id == Notification.id,
            Notification.event_id.is_not(None),
        ),
        exists().where(User.merged_into_id == user_id),
        exists().where(EventOrganizer.user_id == user_id),
        exists().where(Invitation.user_id == user_id),
    )
    return bool(await session.scalar(select(or_(*needs))))
