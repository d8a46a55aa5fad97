"""Reading and locking accounts' rows. Locks are taken in one order: users by id, then claims."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.accounts.addresses import fingerprint_of
from soonish.accounts.models import Registration, User
from soonish.errors import Gone


def is_live(user: User) -> bool:
    """True unless the user was deactivated, erased or merged into another."""
    return user.deactivated_at is None and user.erased_at is None


async def find_by_address(session: AsyncSession, address: str) -> User | None:
    """The row of a normalised address, whether or not it is an account."""
    same = User.email_fingerprint == fingerprint_of(address)
    return await session.scalar(select(User).where(same))


async def keep_by_address(session: AsyncSession, address: str) -> User | None:
    """The same, and nobody removes or renames the row until the transaction ends."""
    same = User.email_fingerprint == fingerprint_of(address)
    row = select(User).where(same).with_for_update(read=True, key_share=True)
    return await session.scalar(row.execution_options(populate_existing=True))


async def lock_user(session: AsyncSession, user_id: int) -> User | None:
    """The user's newest row, locked until the transaction ends."""
    row = select(User).where(User.id == user_id).with_for_update()
    return await session.scalar(row.execution_options(populate_existing=True))


async def lock_live_user(session: AsyncSession, user_id: int) -> User:
    """The same. Raises Gone unless the user is live."""
    user = await lock_user(session, user_id)
    if user is None or not is_live(user):
        raise Gone
    return user


async def find_registration(session: AsyncSession, workflow_id: str) -> Registration | None:
    return await session.scalar(select(Registration).where(Registration.workflow_id == workflow_id))


async def lock_open_registrations(
    session: AsyncSession, which: ColumnElement[bool]
) -> list[Registration]:
    """The open ones among these, newest state, locked in the order of their ids."""
    rows = (
        select(Registration)
        .where(which, Registration.completed_at.is_(None))
        .order_by(Registration.id)
        .with_for_update()
    )
    return list(await session.scalars(rows.execution_options(populate_existing=True)))
