"""Read and lock accounts' rows. Locks are taken in one order: users by id, then claims."""

from __future__ import annotations

from functools import cache

from sqlalchemy import ColumnElement, String, and_, bindparam, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import ExecutableReturnsRows

from soonish.errors import Gone, Unauthorized
from soonish.identity.addresses import fingerprint_of, normalise, searched_fingerprint
from soonish.infra.db import sql
from soonish.infra.db.models.accounts import Registration, User
from soonish.infra.db.types import Encrypted, UtcDateTime, utc_now


def is_live(user: User) -> bool:
    """Return True unless the user was deactivated, erased or merged into another."""
    return user.deactivated_at is None and user.erased_at is None


async def find_by_address(session: AsyncSession, address: str) -> User | None:
    """Return the row of a normalised address, whether or not it is an account."""
    same = User.email_fingerprint == fingerprint_of(address)
    return await session.scalar(select(User).where(same))


async def find_or_create_by_address(
    session: AsyncSession, address: str, name: str | None = None, locale: str | None = None
) -> User:
    """Return the row of this address, made if it is missing, locked until the transaction ends.

    `name` and `locale` are kept only where there is none yet and no account owns the row. Raise
    InvalidInput on `email`. It is one statement for every address, so how long it takes does not
    tell whether the address is known.
    """
    address = normalise(address)
    row = {
        "p_email": address,
        "p_fingerprint": fingerprint_of(address),
        "p_name": name or None,
        "p_locale": locale,
        "p_now": utc_now(),
    }
    query = _upsert(sqlite=sql.is_sqlite(session))
    return (await session.scalars(query, row)).one()


@cache
def _upsert(*, sqlite: bool) -> ExecutableReturnsRows:
    making = sql.core_insert(User, sqlite=sqlite).values(
        email=bindparam("p_email", type_=Encrypted()),
        email_fingerprint=bindparam("p_fingerprint"),
        name=bindparam("p_name", type_=String()),
        locale=bindparam("p_locale", type_=String()),
        is_verified=False,
        is_admin=False,
        token_epoch=0,
        created_at=bindparam("p_now", type_=UtcDateTime()),
    )
    nobodys = User.is_verified.is_(False)
    no_name = and_(nobodys, func.coalesce(User.name, "") == "")
    no_locale = and_(nobodys, User.locale.is_(None))
    kept = making.on_conflict_do_update(
        index_elements=["email_fingerprint"],
        set_={
            "name": case((no_name, making.excluded.name), else_=User.name),
            "locale": case((no_locale, making.excluded.locale), else_=User.locale),
        },
    ).returning(*User.__table__.columns)
    return select(User).from_statement(kept).execution_options(populate_existing=True)


async def lock_user(session: AsyncSession, user_id: int) -> User | None:
    """Return the user's newest row, locked until the transaction ends."""
    row = select(User).where(User.id == user_id).with_for_update()
    return await session.scalar(row.execution_options(populate_existing=True))


async def lock_live_user(session: AsyncSession, user_id: int) -> User:
    """Return the user's locked row. Raise Gone unless the user is live."""
    user = await lock_user(session, user_id)
    if user is None or not is_live(user):
        raise Gone
    return user


async def require_live(session: AsyncSession, user_id: int) -> None:
    """Raise Unauthorized if the user is no longer live; block erasure until the transaction
    ends."""
    live = select(User.id).where(
        User.id == user_id, User.deactivated_at.is_(None), User.erased_at.is_(None)
    )
    if await session.scalar(live.with_for_update(read=True)) is None:
        raise Unauthorized


async def find_registration(session: AsyncSession, workflow_id: str) -> Registration | None:
    return await session.scalar(select(Registration).where(Registration.workflow_id == workflow_id))


async def lock_open_registrations(
    session: AsyncSession, which: ColumnElement[bool]
) -> list[Registration]:
    """Return the open registrations among these, newest state, locked in the order of their ids."""
    rows = (
        select(Registration)
        .where(which, Registration.completed_at.is_(None))
        .order_by(Registration.id)
        .with_for_update()
    )
    return list(await session.scalars(rows.execution_options(populate_existing=True)))


def name_or_address_matches(text: str) -> ColumnElement[bool]:
    """Return the condition that a User's name contains the text or their address equals it."""
    text = text.strip()
    by_name = func.lower(User.name).contains(text.lower(), autoescape=True)
    fingerprint = searched_fingerprint(text)
    return or_(by_name, User.email_fingerprint == fingerprint) if fingerprint else by_name
