"""Changes that account owners make to themselves: profile, password, address."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.domain.accounts import (
    address_change,
    password_rules,
    passwords,
    service,
    sessions,
    sign_in,
)
from soonish.domain.accounts.limits import LoginGuard
from soonish.domain.accounts.principal import Access, SessionAccess, require_session
from soonish.domain.accounts.schemas import ProfileInput
from soonish.domain.accounts.sign_in import Browser
from soonish.errors import Conflict, InvalidInput, Unauthorized
from soonish.identity.addresses import normalise
from soonish.identity.mail_limits import MailAllowance
from soonish.identity.users import lock_live_user
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database

_PLAIN = ("name", "timezone", "locale")


@dataclass(frozen=True)
class UpdatedAccount:
    """An updated account; `new_token` is the cookie secret of the session replacing the current
    one."""

    user: User
    new_token: str | None


async def update(
    db: Database,
    settings: Settings,
    guard: LoginGuard,
    browser: Browser,
    access: Access,
    changes: ProfileInput,
) -> UpdatedAccount:
    """Apply the fields that were set. A new address counts once it is proven.

    An address that has reached its mail limit is silently not asked. Raise InvalidInput, Conflict,
    TooManyRequests (wrong `current_password`, too many addresses), and Forbidden if an API token
    changes the address or password.
    """
    wanted = changes.model_fields_set
    if not wanted <= set(_PLAIN):
        require_session(access)
    address = normalise(changes.email) if "email" in wanted else None
    hashed = await _new_hash(guard, access, changes) if "password" in wanted else None
    if address is not None and not await MailAllowance(guard.meter, access.user).take([address]):
        async with db.write() as session:
            await address_change.claim_address(session, access.user, address)
    async with db.write() as session:
        user = await lock_live_user(session, access.user.id)
        for name in wanted.intersection(_PLAIN):
            setattr(user, name, getattr(changes, name))
        if plain := sorted(wanted.intersection(_PLAIN)):
            service.record_change(session, "user.update", user, fields=plain)
        token = None
        if hashed is not None:
            signed_in = require_session(access)
            token = await _replace_password(session, settings, browser, signed_in, user, hashed)
    return UpdatedAccount(user, token)


async def _new_hash(guard: LoginGuard, access: Access, changes: ProfileInput) -> str:
    user = access.user
    chosen = password_rules.validate_password(changes.password, user.email, user.name)
    if user.password_hash is not None:
        try:
            await sign_in.check_password(
                guard, user.email_fingerprint, changes.current_password, user.password_hash
            )
        except Unauthorized:
            raise InvalidInput("current_password", "This is not the present password.") from None
    return await passwords.hash_password(chosen)


async def _replace_password(
    session: AsyncSession,
    settings: Settings,
    browser: Browser,
    access: SessionAccess,
    user: User,
    hashed: str,
) -> str | None:
    """Set the password, end all sessions, and give a browser a new one.

    An access token ends with the password it was obtained with; it stays if there was none before.
    """
    if user.password_hash != access.user.password_hash:
        raise Conflict("The password was changed meanwhile.")
    stays = not access.by_cookie and user.password_hash is None
    keep = access.session.id if stays else None
    await service.set_password(session, user, hashed, keep_session=keep)
    if not access.by_cookie:
        return None
    _, token = await sessions.start(session, settings, user.id, browser.user_agent)
    return token
