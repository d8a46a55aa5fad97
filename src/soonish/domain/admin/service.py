"""Changes that administrators make, each with an audit entry. Callers own the transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.accounts import service as accounts
from soonish.domain.accounts import sessions
from soonish.domain.admin.queries import UserWithCounts, with_counts
from soonish.errors import Conflict, NotFound
from soonish.identity.users import lock_user
from soonish.infra.db.models.accounts import User


async def require_user(session: AsyncSession, user_id: int) -> UserWithCounts:
    """Return the user with their counts. Raise NotFound for an unknown one."""
    return (await with_counts(session, [await _lock(session, user_id)]))[0]


async def deactivate(
    session: AsyncSession, admin: User, user_id: int, now: datetime
) -> UserWithCounts:
    """Block sign-in for this user and end their sessions; repeating it does nothing.

    Their events, subscriptions and unsubscribe links stay. Raise NotFound, or Conflict for oneself.
    """
    if user_id == admin.id:
        raise Conflict("You cannot deactivate yourself.", code="own_account")
    user = await _lock(session, user_id)
    if user.deactivated_at is None:
        user.deactivated_at = now
        await sessions.end_all(session, user.id)
        accounts.record_change(session, "user.deactivate", user)
    return (await with_counts(session, [user]))[0]


async def reactivate(session: AsyncSession, user_id: int) -> UserWithCounts:
    """Let a deactivated user sign in again. Raise NotFound, also for an erased one."""
    user = await _lock(session, user_id)
    if user.erased_at is not None:
        raise NotFound("There is no such user.")
    if user.deactivated_at is not None:
        user.deactivated_at = None
        accounts.record_change(session, "user.reactivate", user)
    return (await with_counts(session, [user]))[0]


async def _lock(session: AsyncSession, user_id: int) -> User:
    user = await lock_user(session, user_id)
    if user is None:
        raise NotFound("There is no such user.")
    return user
