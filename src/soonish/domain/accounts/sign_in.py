"""Sign-in use cases of the API, the pages and the CLI.

Each one reads, hashes outside of any transaction, then writes in one, so that no lock waits for a
password hash.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.domain.accounts import (
    access_tokens,
    address_change,
    identities,
    password_rules,
    passwords,
    service,
    sessions,
)
from soonish.domain.accounts.access_tokens import AccessToken
from soonish.domain.accounts.limits import LoginGuard, account_key
from soonish.domain.accounts.oidc import Identity
from soonish.domain.accounts.principal import SessionAccess
from soonish.errors import Unauthorized
from soonish.identity import tokens
from soonish.identity.addresses import normalise
from soonish.identity.mail_limits import may_mail
from soonish.identity.tokens import SIGN_IN, Purpose
from soonish.identity.users import find_by_address, is_live, lock_user
from soonish.infra.audit import service as audit
from soonish.infra.db.models.accounts import Registration, Session, User
from soonish.infra.db.session import Database
from soonish.infra.rate_limits.limits import Meter

# Minimum duration of responses that must not reveal whether an address is known.
_SAME_SECONDS = 0.1


@dataclass(frozen=True)
class Browser:
    """The client as far as we know it: its user agent and the cookies it sent."""

    user_agent: str | None = None
    session_token: str | None = None
    register_token: str | None = None


@dataclass(frozen=True)
class SignedIn:
    """A completed sign-in; `token` is for the cookie."""

    user: User
    session: Session
    token: str
    access: AccessToken

    @property
    def password_needed(self) -> bool:
        return self.user.password_hash is None


async def register(
    db: Database,
    meter: Meter,
    *,
    email: str,
    password: str | None = None,
    name: str | None = None,
    locale: str | None = None,
) -> str:
    """Ask for proof of the address; return the secret for this browser's register cookie.

    `locale` becomes the language of the mail if the address has none yet. Content and timing are
    the same for every address, including one that has reached its mail limit: nothing is written
    then. Raise InvalidInput.
    """
    address, browser_token = normalise(email), tokens.new_secret()
    hashed = None
    if password is not None:
        hashed = await passwords.hash_password(
            password_rules.validate_password(password, address, name)
        )
    async with _same_time():
        if await may_mail(meter, address):
            async with db.write() as session:
                await service.register(
                    session,
                    address,
                    name=name,
                    password_hash=hashed,
                    browser_token=browser_token,
                    locale=locale,
                )
    return browser_token


async def send_magic_link(db: Database, meter: Meter, *, email: str) -> None:
    """Mail a sign-in link to a known address within its mail limit. Raise InvalidInput."""
    await _mail_known(db, meter, email, service.send_magic_link)


async def send_password_reset(db: Database, meter: Meter, *, email: str) -> None:
    """Mail a password reset link to an account within its mail limit. Raise InvalidInput."""
    await _mail_known(db, meter, email, service.send_password_reset)


async def _mail_known(
    db: Database, meter: Meter, email: str, send: Callable[[AsyncSession, str], Awaitable[None]]
) -> None:
    """Send and count a mail only for a known address: unknown ones never get any."""
    address = normalise(email)
    async with _same_time():
        async with db.read() as session:
            is_known = await find_by_address(session, address) is not None
        if is_known and await may_mail(meter, address):
            async with db.write() as session:
                await send(session, address)


async def verify(
    db: Database, settings: Settings, browser: Browser, *, token: str, password: str | None = None
) -> SignedIn:
    """Redeem a registration, magic link or new-address token, and sign in with it.

    `password` may repeat the one of the registration. Raise Gone, InvalidInput.
    """
    async with db.read() as session:
        row = await tokens.find(session, SIGN_IN, token)
        registration = await session.get(Registration, row.registration_id or 0)
        user = await session.get_one(User, row.user_id)
    hashed = None
    if row.purpose == Purpose.VERIFICATION and registration is not None:
        if password is not None:
            password_rules.validate_password(password, user.email, registration.name)
        hashed = await _proven_password(registration, browser, password)
    async with db.write() as session:
        if row.purpose == Purpose.NEW_EMAIL:
            user = await address_change.take_address(session, token, settings.base_url)
        else:
            user = await service.confirm_address(session, row.purpose, token, password_hash=hashed)
        return await _sign_in(session, settings, browser, user, by=row.purpose)


async def _proven_password(
    registration: Registration, browser: Browser, password: str | None
) -> str | None:
    """Return the hash of a password that the registrant provably knows, else None.

    Somebody else may have registered the address with a password of their own, and wait.
    """
    if registration.password_hash is None:
        return await passwords.hash_password(password) if password else None
    if _is_same_browser(registration, browser):
        return registration.password_hash
    if password is None:
        return None
    fits, _ = await passwords.verify_password(password, registration.password_hash)
    return registration.password_hash if fits else None


def _is_same_browser(registration: Registration, browser: Browser) -> bool:
    token = browser.register_token
    return token is not None and tokens.hash_of(token) == registration.browser_hash


async def _sign_in(
    session: AsyncSession, settings: Settings, browser: Browser, user: User, *, by: str
) -> SignedIn:
    """Start a session and end the browser's previous one (it may have been planted).

    `by` goes into the audit log: `password`, or the purpose of the token.
    """
    if browser.session_token:
        await sessions.end_token(session, browser.session_token)
    row, token = await sessions.start(session, settings, user.id, browser.user_agent)
    audit.record(session, "session.start", user.id, on=("session", row.id), by=by)
    return SignedIn(user, row, token, access_tokens.issue(settings, row))


async def log_in(
    db: Database,
    settings: Settings,
    guard: LoginGuard,
    browser: Browser,
    *,
    email: str,
    password: str,
) -> SignedIn:
    """Sign in with a password. Raise Unauthorized, TooManyRequests.

    A wrong password and an address without an account get the same answer after the same work.
    """
    async with db.read() as session:
        user = await service.find_account(session, email)
    hashed = user.password_hash if user else None
    try:
        better = await check_password(guard, account_key(email), password, hashed)
    except Unauthorized:
        await _record_failure(db, user)
        raise
    if user is None:
        raise wrong_credentials()
    async with db.write() as session:
        now = await lock_user(session, user.id)
        if now is None or not is_live(now) or now.password_hash != hashed:
            raise wrong_credentials()
        now.password_hash = better or hashed
        return await _sign_in(session, settings, browser, now, by="password")


async def _record_failure(db: Database, user: User | None) -> None:
    """Audit the failed sign-in with the same work for every address; its owner can see the
    attempt."""
    async with db.write() as session:
        audit.record(
            session, "session.start", user.id if user else None, outcome=audit.FAILED, by="password"
        )


async def check_password(
    guard: LoginGuard, account: str | None, password: str, hashed: str | None
) -> str | None:
    """Return a better hash to store, if there is one. Raise Unauthorized, TooManyRequests.

    `account` is the fingerprint of the tried address, as LoginGuard counts it.
    """
    await guard.require_attempts_left(account)
    fits, better = await passwords.verify_password(password, hashed)
    if not fits:
        await guard.record_failure(account)
        raise wrong_credentials()
    await guard.require_attempts_left(account)
    return better


def wrong_credentials() -> Unauthorized:
    return Unauthorized("Address or password is wrong.", code="invalid_credentials")


async def sign_in_with_provider(
    db: Database, settings: Settings, browser: Browser, identity: Identity
) -> SignedIn:
    """Sign in with a login at the provider. Raise SignInRefused."""
    async with db.write() as session:
        user = await identities.account_of(session, identity)
        return await _sign_in(session, settings, browser, user, by="oidc")


async def log_out(db: Database, access: SessionAccess) -> None:
    """End the current session, with its cookie and its access tokens."""
    async with db.write() as session:
        await sessions.end(session, access.user.id, access.session.id)


async def reset_password(db: Database, *, token: str, password: str) -> None:
    """Redeem a reset token; every session of the account ends. Raise Gone, InvalidInput."""
    async with db.read() as session:
        row = await tokens.find(session, (Purpose.PASSWORD_RESET,), token)
        user = await session.get_one(User, row.user_id)
    password_rules.validate_password(password, user.email, user.name)
    hashed = await passwords.hash_password(password)
    async with db.write() as session:
        await service.reset_password(session, token, hashed)


@asynccontextmanager
async def _same_time() -> AsyncGenerator[None]:
    """Leave the block no sooner than _SAME_SECONDS after entering it, its commit included."""
    loop = asyncio.get_running_loop()
    earliest = loop.time() + _SAME_SECONDS
    try:
        yield
    finally:
        await asyncio.sleep(earliest - loop.time())
