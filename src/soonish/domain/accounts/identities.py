"""OpenID Connect logins and the accounts they sign in to (docs/architecture.md#accounts)."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.accounts import service
from soonish.domain.accounts.oidc import Identity, SignInRefused
from soonish.domain.accounts.schemas import clean_name
from soonish.errors import InvalidInput
from soonish.i18n import _
from soonish.identity.users import find_or_create_by_address, is_live, lock_user
from soonish.infra.audit import service as audit
from soonish.infra.db import sql
from soonish.infra.db.models.accounts import OidcIdentity, User
from soonish.infra.db.types import utc_now

_UNPROVEN = _(
    "The sign-in service does not say that your email address is verified there. Verify it, or "
    "sign in another way."
)
_CLOSED = _("This account cannot be signed in to.")


async def account_of(session: AsyncSession, identity: Identity) -> User:
    """Return the locked account for this login, connecting or creating it if necessary.

    A known subject decides, whatever its address is now. Otherwise an address the provider calls
    verified decides: that is as good a proof as a mailed link. Raise SignInRefused.
    """
    known = await _known(session, identity)
    if known is not None:
        return known
    if identity.email is None:
        raise SignInRefused(_UNPROVEN)
    try:
        row = await find_or_create_by_address(session, identity.email)
    except InvalidInput:
        raise SignInRefused(_UNPROVEN) from None
    user = await _require_live(session, row.id)
    user.name = user.name or clean_name(identity.name)
    await service.mark_verified(session, user)
    if await _connect(session, identity, user.id):
        return user
    return await _known(session, identity) or user  # another request was first


async def _known(session: AsyncSession, identity: Identity) -> User | None:
    user_id = await session.scalar(
        select(OidcIdentity.user_id).where(
            OidcIdentity.issuer == identity.issuer, OidcIdentity.subject == identity.subject
        )
    )
    return None if user_id is None else await _require_live(session, user_id)


async def _require_live(session: AsyncSession, user_id: int) -> User:
    user = await lock_user(session, user_id)
    if user is None or not is_live(user):
        raise SignInRefused(_CLOSED)
    return user


async def _connect(session: AsyncSession, identity: Identity, user_id: int) -> bool:
    """Connect the login; return False if it is connected already."""
    row = sql.insert(session, OidcIdentity).values(
        user_id=user_id, issuer=identity.issuer, subject=identity.subject, created_at=utc_now()
    )
    made = await session.scalar(row.on_conflict_do_nothing().returning(OidcIdentity.id))
    if made is not None:
        _record(session, "identity.connect", user_id, made)
    return made is not None


async def list_of(session: AsyncSession, user_id: int) -> list[OidcIdentity]:
    """Return the user's connected logins, oldest first."""
    mine = select(OidcIdentity).where(OidcIdentity.user_id == user_id).order_by(OidcIdentity.id)
    return list(await session.scalars(mine))


async def disconnect(session: AsyncSession, user_id: int, identity_id: int) -> bool:
    """Remove the login. Return False if the user has none with this id."""
    mine = delete(OidcIdentity).where(
        OidcIdentity.user_id == user_id, OidcIdentity.id == identity_id
    )
    gone = await session.scalar(mine.returning(OidcIdentity.id))
    if gone is not None:
        _record(session, "identity.disconnect", user_id, gone)
    return gone is not None


def _record(session: AsyncSession, action: str, user_id: int, identity_id: int) -> None:
    audit.record(session, action, user_id, on=("identity", identity_id))
