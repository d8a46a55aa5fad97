"""Move an account to another address, together with that address's subscriptions.

See docs/architecture.md#accounts.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.domain.accounts import api_tokens, registration, service, sessions
from soonish.domain.reminders.service import drop_subscription
from soonish.errors import Gone
from soonish.identity import tokens
from soonish.identity.tokens import SIGN_IN, Purpose
from soonish.identity.users import find_or_create_by_address, lock_live_user
from soonish.infra.db.models.accounts import Registration, Token, User
from soonish.infra.db.models.events import Event, EventOrganizer, Invitation
from soonish.infra.db.models.notifications import Delivery
from soonish.infra.db.models.subscriptions import (
    ACTIVE,
    PENDING_APPROVAL,
    PENDING_CONFIRMATION,
    Subscription,
)
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams

_WAITS: dict[str, int] = {
    ACTIVE: 0,
    PENDING_APPROVAL: 1,
    PENDING_CONFIRMATION: 2,
}  # distance from active
MERGED = "merged"  # the end_reason of the duplicate when both were subscribed
_TELL_OLD_ADDRESS_WITHIN = timedelta(days=7)


async def claim_address(session: AsyncSession, user: User, address: str) -> None:
    """Ask for proof that the user owns a normalised address; the change takes effect with that
    proof."""
    target = await find_or_create_by_address(session, address)
    if target.id == user.id:
        return
    await registration.complete_claims_of(session, user.id)
    claim = Registration(user_id=target.id, claimant_user_id=user.id)
    await service.open_registration(session, claim)


async def take_address(session: AsyncSession, token: str, base_url: str) -> User:
    """Redeem a NEW_EMAIL token: move its claimant to the proven address and return them.

    Raise Gone if the token or the claim is invalid, or another account owns the address by now.
    """
    found = await tokens.find(session, (Purpose.NEW_EMAIL,), token)
    claimant, target = await _lock_both(session, found)
    await tokens.redeem(session, Purpose.NEW_EMAIL, token)
    if target.is_verified:
        raise Gone
    old, new, fingerprint = claimant.email, target.email, target.email_fingerprint
    await _leave_tombstone(session, target, claimant)
    claimant.email, claimant.email_fingerprint = new, fingerprint
    await session.flush()
    await _move_subscriptions(session, target.id, claimant.id)
    await _move_roles(session, target.id, claimant.id)
    service.record_change(session, "user.email", claimant)
    await _end_old_access(session, claimant, target)
    if old:
        await _tell_old_address(session, old, base_url)
    return claimant


async def _lock_both(session: AsyncSession, token: Token) -> tuple[User, User]:
    """Lock the claimant and the address's row in the order of their ids."""
    found = await session.get(Registration, token.registration_id or 0)
    if found is None or found.claimant_user_id is None:
        raise Gone
    claimant_id = found.claimant_user_id
    users = {
        user_id: await lock_live_user(session, user_id)
        for user_id in sorted((claimant_id, token.user_id))
    }
    await registration.require_open(session, found.id)
    return users[claimant_id], users[token.user_id]


async def _leave_tombstone(session: AsyncSession, target: User, claimant: User) -> None:
    """Turn the address's row into a tombstone that points to the account now responsible."""
    target.email = target.email_fingerprint = target.name = None
    target.erased_at, target.merged_into_id = utc_now(), claimant.id
    await session.flush()


async def _move_subscriptions(session: AsyncSession, source_id: int, target_id: int) -> None:
    """Move the subscriptions, ending one of each pair for the same event.

    The account's own subscription is kept unless only the other one is confirmed or approved.
    """
    for subscription in await _doubles(session, source_id, target_id):
        subscription.ended_at, subscription.end_reason = utc_now(), MERGED
        await drop_subscription(session, subscription.id)
        await _wake_event(session, subscription.event_id)
    await session.flush()
    for table in (Subscription, Delivery):
        moved = update(table).where(table.user_id == source_id)
        if table is Delivery:
            moved = moved.where(Delivery.subscription_id.is_not(None))
        await session.execute(moved.values(user_id=target_id))


async def _doubles(session: AsyncSession, source_id: int, target_id: int) -> list[Subscription]:
    own = aliased(Subscription)
    pairs = (
        select(Subscription, own)
        .join(own, own.event_id == Subscription.event_id)
        .where(
            Subscription.user_id == source_id,
            Subscription.ended_at.is_(None),
            own.user_id == target_id,
            own.ended_at.is_(None),
        )
        .with_for_update()
    )
    return [_loser(theirs, mine) for theirs, mine in await session.execute(pairs)]


def _loser(theirs: Subscription, own: Subscription) -> Subscription:
    """Return which of an account's two subscriptions to one event ends."""
    return own if _WAITS[own.status] > _WAITS[theirs.status] else theirs


async def _move_roles(session: AsyncSession, source_id: int, target_id: int) -> None:
    """Move the address's invitations and co-organizer roles to the account."""
    of_source = EventOrganizer.user_id == source_id
    owned = select(Event.id).where(Event.owner_user_id == target_id)
    helped = select(EventOrganizer.event_id).where(EventOrganizer.user_id == target_id)
    has_already = or_(EventOrganizer.event_id.in_(owned), EventOrganizer.event_id.in_(helped))
    for statement in (
        delete(EventOrganizer).where(of_source, has_already),
        update(EventOrganizer).where(of_source).values(user_id=target_id),
        update(Invitation).where(Invitation.user_id == source_id).values(user_id=target_id),
    ):
        await session.execute(statement.execution_options(synchronize_session=False))


async def _wake_event(session: AsyncSession, event_id: int) -> None:
    event = await session.get_one(Event, event_id)
    outbox.add(session, event.temporal_workflow_id, streams.WAKE, {"event_id": event_id})


async def _end_old_access(session: AsyncSession, claimant: User, target: User) -> None:
    """Invalidate all links, tokens and sessions issued to either of them before."""
    for user in (claimant, target):
        await registration.complete_all(session, user.id)
        await tokens.revoke(session, user.id, *SIGN_IN, Purpose.PASSWORD_RESET)
    await registration.complete_claims_of(session, claimant.id)
    await sessions.end_all(session, claimant.id)
    await api_tokens.revoke_all(session, claimant.id)


async def _tell_old_address(session: AsyncSession, old: str, base_url: str) -> None:
    """Mail the old address, which becomes an ordinary anonymous address again."""
    holder = await find_or_create_by_address(session, old)
    await add_account_mail(
        session,
        holder.id,
        "email_changed",
        dedup_key=f"email_changed:{uuid.uuid4()}",
        lifetime=_TELL_OLD_ADDRESS_WITHIN,
        extra={"url": f"{base_url}/account"},
    )
