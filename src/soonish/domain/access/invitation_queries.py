"""SQL of invitations: find the one that applies, and count its uses without a race."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.identity.tokens import Purpose, hash_of
from soonish.infra.db.models.accounts import Token, User
from soonish.infra.db.models.events import Invitation


def has_uses_left(invitation: Invitation) -> bool:
    return invitation.max_uses is None or invitation.uses < invitation.max_uses


async def by_token(
    session: AsyncSession, event_id: int, token: str, now: datetime
) -> Invitation | None:
    """Return the event's valid invitation for this token, or None.

    A shared link must have a use left. An invitation mailed to an address works until it is revoked
    or expires, since its only use may be the reader's own.
    """
    hashed = hash_of(token)
    mailed = select(Token.invitation_id).where(
        Token.token_hash == hashed, Token.purpose == Purpose.INVITATION, Token.expires_at > now
    )
    query = select(Invitation).where(
        Invitation.event_id == event_id,
        _is_valid(now),
        or_(
            and_(Invitation.token_hash == hashed, _has_uses_left()),
            Invitation.id.in_(mailed),
        ),
    )
    return (await session.scalars(query)).one_or_none()


async def of_user(
    session: AsyncSession, event_id: int, user_id: int, now: datetime
) -> Invitation | None:
    """Return the best valid invitation to the user's own address, or None.

    Invitations with uses left come first, then those that need no approval.
    """
    query = (
        select(Invitation)
        .where(Invitation.event_id == event_id, Invitation.user_id == user_id, _is_valid(now))
        .order_by(_has_uses_left().desc(), Invitation.needs_approval, Invitation.id)
        .limit(1)
    )
    return (await session.scalars(query)).one_or_none()


async def use(session: AsyncSession, invitation_id: int, now: datetime) -> bool:
    """Count one use. Return False if none is left or the invitation was revoked or has expired."""
    query = (
        update(Invitation)
        .where(Invitation.id == invitation_id, _is_valid(now), _has_uses_left())
        .values(uses=Invitation.uses + 1)
        .execution_options(synchronize_session=False)
    )
    result: Any = await session.execute(query)
    return result.rowcount == 1


async def revoke_personal(
    session: AsyncSession, event_id: int, user_id: int, now: datetime
) -> None:
    """Revoke the invitations to the user's own address."""
    await session.execute(
        update(Invitation)
        .where(Invitation.event_id == event_id, Invitation.user_id == user_id, _is_valid(now))
        .values(revoked_at=now)
        .execution_options(synchronize_session=False)
    )


async def list_of_event(
    session: AsyncSession, event_id: int, limit: int, before_id: int | None
) -> Sequence[tuple[Invitation, str | None]]:
    """Return a page of the event's invitations with their addresses, newest first."""
    query = (
        select(Invitation, User.email)
        .join(User, User.id == Invitation.user_id, isouter=True)
        .where(Invitation.event_id == event_id)
        .order_by(Invitation.id.desc())
        .limit(limit)
    )
    if before_id is not None:
        query = query.where(Invitation.id < before_id)
    return [(invitation, address) for invitation, address in await session.execute(query)]


async def lock(session: AsyncSession, event_id: int, invitation_id: int) -> Invitation | None:
    query = select(Invitation).where(
        Invitation.id == invitation_id, Invitation.event_id == event_id
    )
    return (await session.scalars(query.with_for_update())).one_or_none()


def _is_valid(now: datetime) -> ColumnElement[bool]:
    return and_(
        Invitation.revoked_at.is_(None),
        or_(Invitation.expires_at.is_(None), Invitation.expires_at > now),
    )


def _has_uses_left() -> ColumnElement[bool]:
    return or_(Invitation.max_uses.is_(None), Invitation.uses < Invitation.max_uses)
