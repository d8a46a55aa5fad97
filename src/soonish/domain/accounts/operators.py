"""Manage accounts as the operator of the installation, from the CLI."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.accounts import api_tokens, service, sessions
from soonish.errors import Conflict, NotFound
from soonish.identity.addresses import normalise
from soonish.identity.users import (
    find_by_address,
    find_or_create_by_address,
    is_live,
    lock_live_user,
)
from soonish.infra.db.models.accounts import User


async def account_of(
    session: AsyncSession, address: str, *, name: str | None = None
) -> tuple[User, bool]:
    """Return the account of this address, created if missing, and whether it was created.

    The operator vouches for the address, so no mail is sent. Raise InvalidInput, or Gone if the
    account was deactivated.
    """
    row = await find_or_create_by_address(session, address)
    user = await lock_live_user(session, row.id)
    made = not user.is_verified
    if made:
        user.name = name or user.name
        await service.mark_verified(session, user)
    return user, made


async def create_account(
    session: AsyncSession,
    address: str,
    *,
    name: str | None,
    password_hash: str | None,
    admin: bool,
) -> tuple[User, bool]:
    """Create an account, or make an existing one an administrator; return whether it was created.

    Raise Conflict if the account exists, unless it becomes an administrator.
    """
    user, made = await account_of(session, address, name=name)
    if not made and (password_hash or not admin):
        raise Conflict("There is an account with this address already.", code="account_exists")
    if password_hash:
        user.password_hash = password_hash
    if admin and not user.is_admin:
        user.is_admin = True
        await _sign_in_again(session, user)
    service.record_change(session, "user.create", user, admin=admin)
    return user, made


async def _sign_in_again(session: AsyncSession, user: User) -> None:
    """Revoke sessions and tokens issued with fewer rights, so that nobody gains rights through
    them."""
    await sessions.end_all(session, user.id)
    await api_tokens.revoke_all(session, user.id)


async def require_account(session: AsyncSession, address: str) -> User:
    """Return the live account of this address. Raise InvalidInput, NotFound."""
    user = await find_by_address(session, normalise(address))
    if user is None or not user.is_verified or not is_live(user):
        raise NotFound(f"There is no account for {address}. `soonish user create` makes one.")
    return user


async def require_user(session: AsyncSession, user_id: int) -> User:
    """Return the live account with this id. Raise NotFound."""
    user = await session.get(User, user_id)
    if user is None or not is_live(user):
        raise NotFound(f"There is no user {user_id}.")
    return user
