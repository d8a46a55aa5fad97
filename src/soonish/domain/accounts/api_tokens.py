"""Personal API tokens: shown once, stored as SHA-256, with the scope `read` or `write`.

No token may manage the account itself. Changing the password or address revokes all of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Update, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.accounts.principal import TokenAccess
from soonish.domain.accounts.schemas import ApiTokenInput, ApiTokenOut, NewApiTokenOut, Scope
from soonish.errors import Conflict, Forbidden, InvalidInput
from soonish.identity.tokens import hash_of, new_secret
from soonish.identity.users import lock_live_user
from soonish.infra.audit import service as audit
from soonish.infra.db.models.accounts import ApiToken, User
from soonish.infra.db.session import Database
from soonish.infra.db.sql import newest_page
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import Page

PREFIX = "soonish_"  # lets people and leak scanners recognise one
MAX_LIVE = 50  # per account
TOUCH_EVERY = timedelta(minutes=1)
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


async def create(
    session: AsyncSession, user_id: int, *, name: str, scope: Scope, expires_at: datetime | None
) -> tuple[ApiToken, str]:
    """Create a token; return its row and its secret, which cannot be shown again.

    Raise InvalidInput if `expires_at` has passed, Conflict if the user has MAX_LIVE already.
    """
    now = utc_now()
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("expires_at", "must be in the future")
    await lock_live_user(session, user_id)  # concurrent requests count one after the other
    live = select(func.count()).where(_kept(user_id), _unexpired(now))
    if (await session.scalar(live) or 0) >= MAX_LIVE:
        raise Conflict(
            f"An account has {MAX_LIVE} API tokens at most; revoke one.", code="too_many_tokens"
        )
    secret = PREFIX + new_secret()
    row = ApiToken(
        user_id=user_id, name=name, token_hash=hash_of(secret), scope=scope, expires_at=expires_at
    )
    session.add(row)
    await session.flush()
    _record(session, "token.create", user_id, row.id, scope=str(scope))
    return row, secret


async def find(session: AsyncSession, secret: str) -> TokenAccess | None:
    """Return the token and its user; None if it is unknown, expired or revoked, or the user is
    gone."""
    good = (
        ApiToken.token_hash == hash_of(secret),
        ApiToken.revoked_at.is_(None),
        _unexpired(utc_now()),
        User.deactivated_at.is_(None),
        User.erased_at.is_(None),
    )
    query = select(ApiToken, User).join(User, User.id == ApiToken.user_id).where(*good)
    row = (await session.execute(query)).one_or_none()
    return TokenAccess(token=row[0], user=row[1]) if row else None


def check_scope(token: ApiToken, method: str) -> None:
    """Raise Forbidden if a read-only token is used for a write."""
    if token.scope != Scope.WRITE and method not in _SAFE_METHODS:
        raise Forbidden("This API token may only read.", code="insufficient_scope")


def is_due(row: ApiToken) -> bool:
    """Return True if `touch` would write: at most once a minute."""
    return row.last_used_at is None or utc_now() - row.last_used_at >= TOUCH_EVERY


async def touch(db: Database, token_id: int) -> None:
    """Record that the token was just used, in a separate transaction after the response."""
    now = utc_now()
    due = or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at <= now - TOUCH_EVERY)
    async with db.write() as session:
        await session.execute(_update(and_(ApiToken.id == token_id, due)).values(last_used_at=now))


async def list_own(
    session: AsyncSession, user_id: int, *, limit: int, cursor: str | None = None
) -> Page[ApiTokenOut]:
    """Return a page of the user's tokens that were not revoked, newest first."""
    kept = select(ApiToken).where(_kept(user_id))
    rows, following = await newest_page(session, kept, ApiToken, limit, cursor)
    items = [ApiTokenOut.model_validate(row) for row in rows]
    return Page(items=items, next_cursor=following)


async def issue(session: AsyncSession, user_id: int, wanted: ApiTokenInput) -> NewApiTokenOut:
    """Create a token as `create` does; return what the API shows of it this one time."""
    row, secret = await create(
        session, user_id, name=wanted.name, scope=wanted.scope, expires_at=wanted.expires_at
    )
    return NewApiTokenOut(**ApiTokenOut.model_validate(row).model_dump(), token=secret)


async def revoke(session: AsyncSession, user_id: int, token_id: int) -> bool:
    """Revoke one of the user's tokens. Return False if there is none or it was revoked already."""
    revoking = _revoke(and_(_kept(user_id), ApiToken.id == token_id)).returning(ApiToken.id)
    revoked = await session.scalar(revoking)
    if revoked is not None:
        _record(session, "token.revoke", user_id, revoked)
    return revoked is not None


async def revoke_all(session: AsyncSession, user_id: int) -> None:
    for token_id in await session.scalars(_revoke(_kept(user_id)).returning(ApiToken.id)):
        _record(session, "token.revoke", user_id, token_id)


def _record(
    session: AsyncSession, action: str, user_id: int, token_id: int, **details: Any
) -> None:
    audit.record(session, action, audit.actor() or user_id, on=("token", token_id), **details)


def _kept(user_id: int) -> ColumnElement[bool]:
    return and_(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))


def _unexpired(now: datetime) -> ColumnElement[bool]:
    return or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now)


def _revoke(which: ColumnElement[bool]) -> Update:
    return _update(which).values(revoked_at=utc_now())


def _update(which: ColumnElement[bool]) -> Update:
    return update(ApiToken).where(which).execution_options(synchronize_session=False)
