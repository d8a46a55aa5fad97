"""Random single-purpose tokens, stored as SHA-256 and used once (docs/architecture.md#tokens)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.errors import Gone
from soonish.infra.db.models.accounts import Token
from soonish.infra.db.types import utc_now


class Purpose(StrEnum):
    VERIFICATION = "verification"
    MAGIC_LINK = "magic_link"
    NEW_EMAIL = "new_email"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a name, no password
    CONFIRM_SUBSCRIPTION = "confirm_subscription"
    INVITATION = "invitation"  # as many uses, and as long, as the invitation allows


SIGN_IN = (Purpose.VERIFICATION, Purpose.MAGIC_LINK, Purpose.NEW_EMAIL)
LIFETIMES = {
    Purpose.VERIFICATION: timedelta(days=7),
    Purpose.MAGIC_LINK: timedelta(minutes=15),
    Purpose.NEW_EMAIL: timedelta(days=7),
    Purpose.PASSWORD_RESET: timedelta(hours=1),
    Purpose.CONFIRM_SUBSCRIPTION: timedelta(days=7),
}


def new_secret() -> str:
    """Return 43 URL-safe characters, 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """Return the SHA-256 in hexadecimal under which a random secret is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def issue(
    session: AsyncSession,
    purpose: str,
    user_id: int,
    *,
    registration_id: int | None = None,
    subscription_id: int | None = None,
    invitation_id: int | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Issue a token for the user, valid for its purpose's lifetime or until `expires_at`.

    Only its hash is stored. It may be bound to a registration, a subscription or an invitation.
    """
    token = new_secret()
    row = Token(
        token_hash=hash_of(token),
        purpose=Purpose(purpose),
        user_id=user_id,
        registration_id=registration_id,
        subscription_id=subscription_id,
        invitation_id=invitation_id,
        expires_at=expires_at or utc_now() + LIFETIMES[Purpose(purpose)],
    )
    session.add(row)
    await session.flush()
    return token


async def find(session: AsyncSession, purposes: Collection[str], token: str) -> Token:
    """Return the usable token's row. Raise Gone: unknown, other purpose, used or expired."""
    row = await find_even_used(session, purposes, token)
    if row.used_at is not None:
        raise Gone
    return row


async def find_even_used(session: AsyncSession, purposes: Collection[str], token: str) -> Token:
    """Return the token's row even if it is used, for requests that may be repeated. Raise Gone."""
    row = await session.scalar(
        select(Token).where(
            Token.token_hash == hash_of(token),
            Token.purpose.in_(purposes),
            Token.expires_at > utc_now(),
        )
    )
    if row is None:
        raise Gone
    return row


async def redeem(session: AsyncSession, purpose: str, token: str) -> Token:
    """Redeem the token and return its row. Raise Gone as `find` does, and for the slower of two."""
    now = utc_now()
    claimed = update(Token).where(
        Token.token_hash == hash_of(token),
        Token.purpose == purpose,
        Token.used_at.is_(None),
        Token.expires_at > now,
    )
    row = await session.scalar(claimed.values(used_at=now).returning(Token))
    if row is None:
        raise Gone
    return row


async def use_up(session: AsyncSession, subscription_id: int) -> None:
    """Mark all open tokens of the subscription as used."""
    await session.execute(
        update(Token)
        .where(Token.subscription_id == subscription_id, Token.used_at.is_(None))
        .values(used_at=utc_now())
        .execution_options(synchronize_session=False)
    )


async def revoke(session: AsyncSession, user_id: int, *purposes: str) -> None:
    """Mark all open tokens of the user for these purposes as used."""
    await session.execute(
        update(Token)
        .where(Token.user_id == user_id, Token.purpose.in_(purposes), Token.used_at.is_(None))
        .values(used_at=utc_now())
        .execution_options(synchronize_session=False)
    )
