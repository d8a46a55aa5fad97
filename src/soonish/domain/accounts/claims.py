"""Decide who may confirm an account's new address through the mailed link.

Reading the mail proves the address, not the account: somebody else may have requested the change
for an account with a password of their own, and wait for a stranger to click.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.domain.accounts import sessions, sign_in
from soonish.domain.accounts.limits import LoginGuard
from soonish.domain.accounts.sign_in import Browser
from soonish.errors import Gone, InvalidInput, Unauthorized
from soonish.i18n import _
from soonish.identity import tokens
from soonish.identity.tokens import Purpose
from soonish.infra.db.models.accounts import Registration, User
from soonish.infra.db.session import Database

_SIGN_IN_FIRST = _("Sign in to your account in this browser first, then open the link again.")
_PASSWORD_NEEDED = _("Enter the password of the account that is to move to this address.")


@dataclass(frozen=True)
class AccountClaim:
    """The account that a link moves, and whether this browser is signed in to it."""

    claimant: User
    is_signed_in: bool

    @property
    def needs_password(self) -> bool:
        return not self.is_signed_in and self.claimant.password_hash is not None


async def find_claim(
    db: Database, settings: Settings, browser: Browser, token: str
) -> AccountClaim | None:
    """Return the account the token would move; None for a token of any other kind."""
    async with db.read() as session:
        claimant = await _claimant(session, token)
        if claimant is None:
            return None
        cookie = browser.session_token
        found = cookie and await sessions.find_by_token(session, settings, cookie)
    return AccountClaim(claimant, bool(found and found.user.id == claimant.id))


async def _claimant(session: AsyncSession, token: str) -> User | None:
    try:
        row = await tokens.find(session, (Purpose.NEW_EMAIL,), token)
    except Gone:
        return None
    registration = await session.get(Registration, row.registration_id or 0)
    claimant_id = registration and registration.claimant_user_id
    return await session.get(User, claimant_id) if claimant_id else None


async def require_claimant(guard: LoginGuard, claim: AccountClaim | None, password: str) -> None:
    """Raise InvalidInput unless the browser is signed in to the account or sends its password.

    Raise TooManyRequests after too many attempts.
    """
    if claim is None or claim.is_signed_in:
        return
    hashed = claim.claimant.password_hash
    if hashed is None:
        raise InvalidInput("body", _SIGN_IN_FIRST)
    if not password:
        raise InvalidInput("password", _PASSWORD_NEEDED)
    try:
        await sign_in.check_password(guard, claim.claimant.email_fingerprint, password, hashed)
    except Unauthorized:
        raise InvalidInput("password", _("This is not the password of that account.")) from None
