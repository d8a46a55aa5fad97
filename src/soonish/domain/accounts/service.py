"""The rules of accounts: one row per address, and nothing changes before proof.

See docs/architecture.md#accounts.
"""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.domain.accounts import api_tokens, sessions
from soonish.domain.accounts import registration as verification
from soonish.errors import InvalidInput
from soonish.identity import tokens
from soonish.identity.addresses import normalise
from soonish.identity.tokens import LIFETIMES, Purpose
from soonish.identity.users import (
    find_by_address,
    find_or_create_by_address,
    is_live,
    lock_live_user,
)
from soonish.infra.audit import service as audit
from soonish.infra.db.models.accounts import Registration, Token, User
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams


async def register(
    session: AsyncSession,
    address: str,
    *,
    name: str | None,
    password_hash: str | None,
    browser_token: str,
    locale: str | None = None,
) -> Registration:
    """Record a request to turn this address into an account; its workflow sends the mail.

    Every address takes the same statements: the workflow decides which mail to send.
    """
    user = await find_or_create_by_address(session, address, locale=locale)
    return await open_registration(
        session,
        Registration(
            user_id=user.id,
            name=name,
            password_hash=password_hash,
            browser_hash=tokens.hash_of(browser_token),
        ),
    )


async def open_registration(session: AsyncSession, row: Registration) -> Registration:
    """Add the row and start its UserVerificationWorkflow."""
    row.workflow_id = streams.verification(row.user_id)
    row.expires_at = utc_now() + LIFETIMES[Purpose.VERIFICATION]
    session.add(row)
    await session.flush()
    payload = {"user_id": row.user_id, "registration_id": row.id}
    outbox.add(session, row.workflow_id, streams.WAKE, payload)
    return row


async def send_magic_link(session: AsyncSession, address: str) -> None:
    """Mail a sign-in link if the address is known (an account's or a subscriber's)."""
    user = await find_by_address(session, address)
    if user is not None and is_live(user):
        await _mail_token(session, user, Purpose.MAGIC_LINK)


async def send_password_reset(session: AsyncSession, address: str) -> None:
    """Mail a password reset link if the address has an account."""
    user = await find_by_address(session, address)
    if user is not None and is_live(user) and user.is_verified:
        await _mail_token(session, user, Purpose.PASSWORD_RESET)


async def _mail_token(session: AsyncSession, user: User, purpose: Purpose) -> None:
    await add_account_mail(
        session,
        user.id,
        purpose,
        dedup_key=f"{purpose}:{uuid.uuid4()}",
        lifetime=LIFETIMES[purpose],
        extra={"purpose": purpose.value},
    )


async def find_account(session: AsyncSession, address: str) -> User | None:
    """Return the account that signs in with this typed address, or None."""
    try:
        user = await find_by_address(session, normalise(address))
    except InvalidInput:
        return None
    return user if user and user.is_verified and is_live(user) else None


async def confirm_address(
    session: AsyncSession, purpose: str, token: str, *, password_hash: str | None = None
) -> User:
    """Redeem a token that proves its user's address: make it an account and return it.

    `password_hash` is set if the account has no password. Raise Gone.
    """
    user, row = await _lock_and_redeem(session, purpose, token)
    if row.registration_id is not None:
        registration = await verification.require_open(session, row.registration_id)
        user.name = user.name or registration.name
        user.password_hash = user.password_hash or password_hash
    await mark_verified(session, user)
    return user


async def _lock_and_redeem(session: AsyncSession, purpose: str, token: str) -> tuple[User, Token]:
    """Lock the user first, so that two of their tokens never wait for each other."""
    found = await tokens.find(session, (purpose,), token)
    user = await lock_live_user(session, found.user_id)
    return user, await tokens.redeem(session, purpose, token)


async def mark_verified(session: AsyncSession, user: User) -> None:
    """Mark the address as proven and void all other claims on it, whatever their password."""
    if not user.is_verified:
        user.is_verified, user.verified_at = True, utc_now()
        record_change(session, "user.verify", user)
    await verification.complete_all(session, user.id)


async def set_password(
    session: AsyncSession, user: User, password_hash: str, *, keep_session: int | None = None
) -> None:
    """Replace the password; end every session (but one), API token and sign-in link."""
    user.password_hash = password_hash
    record_change(session, "user.password", user)
    await sessions.end_all(session, user.id, but=keep_session)
    await api_tokens.revoke_all(session, user.id)
    await tokens.revoke(session, user.id, Purpose.PASSWORD_RESET, Purpose.MAGIC_LINK)


async def reset_password(session: AsyncSession, token: str, password_hash: str) -> User:
    """Redeem a reset token and set the password. Raise Gone."""
    user, _ = await _lock_and_redeem(session, Purpose.PASSWORD_RESET, token)
    await mark_verified(session, user)
    await set_password(session, user, password_hash)
    return user


def record_change(session: AsyncSession, action: str, user: User, **details: Any) -> None:
    """Audit a change to the account, attributed to the current actor, else to its owner."""
    audit.record(session, action, audit.actor() or user.id, on=("user", user.id), **details)
