"""SQL of subscriptions: state changes, lookups and selectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import String, and_, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.elements import ColumnElement

from soonish.domain.access.subscription_queries import locked
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.subscriptions import (
    ACTIVE,
    PENDING_APPROVAL,
    PENDING_CONFIRMATION,
    Subscription,
    SubscriptionSelector,
)
from soonish.infra.db.sql import core_insert, insert, is_sqlite
from soonish.infra.db.types import UtcDateTime


async def find_current(
    session: AsyncSession, subscription_id: int, *, lock: bool = False
) -> Subscription | None:
    """Return the subscription unless it has ended, whatever its status, FOR UPDATE if asked."""
    query = select(Subscription).where(
        Subscription.id == subscription_id, Subscription.ended_at.is_(None)
    )
    return (await session.scalars(locked(query) if lock else query)).one_or_none()


def _is_waiting() -> ColumnElement[bool]:
    return and_(Subscription.ended_at.is_(None), Subscription.status == PENDING_CONFIRMATION)


async def exists(session: AsyncSession, which: ColumnElement[bool]) -> bool:
    """Return True if such a subscription exists, ended or not."""
    return (
        await session.scalars(select(Subscription.id).where(which).limit(1))
    ).first() is not None


async def insert_unless_there(
    session: AsyncSession,
    event_id: int,
    user_id: int,
    now: datetime,
    status: str = ACTIVE,
    admitted_as: str | None = None,
) -> int | None:
    """Create a subscription; return its id, or None if the user has a current one."""
    row = {
        "p_event_id": event_id,
        "p_user_id": user_id,
        "p_now": now,
        "p_status": status,
        "p_admitted_as": admitted_as,
    }
    return await session.scalar(_inserting(sqlite=is_sqlite(session)), row)


@cache
def _inserting(*, sqlite: bool) -> ReturningInsert[int]:
    making = core_insert(Subscription, sqlite=sqlite).values(
        event_id=bindparam("p_event_id"),
        user_id=bindparam("p_user_id"),
        created_at=bindparam("p_now", type_=UtcDateTime()),
        status=bindparam("p_status"),
        admitted_as=bindparam("p_admitted_as", type_=String()),
    )
    return making.on_conflict_do_nothing().returning(Subscription.__table__.c.id)


async def confirm(
    session: AsyncSession, now: datetime, which: ColumnElement[bool], status: str = ACTIVE
) -> int | None:
    """Give the unconfirmed subscription this status; return its id, or None without one."""
    return await _change(session, and_(which, _is_waiting()), status=status, created_at=now)


async def approve(session: AsyncSession, now: datetime, which: ColumnElement[bool]) -> int | None:
    """Activate the subscription that awaits approval; return its id, or None without one."""
    waiting = and_(which, Subscription.ended_at.is_(None), Subscription.status == PENDING_APPROVAL)
    return await _change(session, waiting, status=ACTIVE, created_at=now)


async def set_admission(
    session: AsyncSession, event_id: int, user_id: int, admitted_as: str
) -> int | None:
    """Set the status the unconfirmed subscription gets once confirmed; return its id.

    Return None without one, or if it was admitted with this status or `active` already.
    """
    changes = and_(
        Subscription.event_id == event_id,
        Subscription.user_id == user_id,
        func.coalesce(Subscription.admitted_as, "").not_in((admitted_as, ACTIVE)),
        _is_waiting(),
    )
    return await _change(session, changes, admitted_as=admitted_as)


async def repeat_request(
    session: AsyncSession, event_id: int, user_id: int, now: datetime, pause: timedelta
) -> int | None:
    """Record another confirmation request for the unconfirmed subscription; return its id.

    Return None without one, or if the last request is less than `pause` ago.
    """
    due = and_(
        Subscription.event_id == event_id,
        Subscription.user_id == user_id,
        Subscription.created_at <= now - pause,
    )
    return await _change(session, and_(due, _is_waiting()), created_at=now)


async def _change(session: AsyncSession, which: ColumnElement[bool], **values: Any) -> int | None:
    query = (
        update(Subscription)
        .where(which)
        .values(**values)
        .returning(Subscription.id)
        .execution_options(synchronize_session=False)
    )
    return (await session.scalars(query)).one_or_none()


@dataclass(frozen=True)
class EndedSubscription:
    """A subscription that has just ended, with its event and workflow."""

    subscription_id: int
    event_id: int
    user_id: int
    status: str
    stream: str


async def end(
    session: AsyncSession, reason: str, now: datetime, which: ColumnElement[bool]
) -> EndedSubscription | None:
    """End the one matching subscription; return None if it had ended before."""
    query = (
        update(Subscription)
        .where(which, Subscription.ended_at.is_(None))
        .values(ended_at=now, end_reason=reason)
        .returning(
            Subscription.id, Subscription.event_id, Subscription.user_id, Subscription.status
        )
        .execution_options(synchronize_session=False)
    )
    ended = (await session.execute(query)).one_or_none()
    if ended is None:
        return None
    subscription_id, event_id, user_id, status = ended
    workflow = select(Event.temporal_workflow_id).where(Event.id == event_id)
    stream = (await session.scalars(workflow)).one()
    return EndedSubscription(subscription_id, event_id, user_id, status, stream)


async def event_and_user(
    session: AsyncSession, event_id: int, user_id: int
) -> tuple[Event, User] | None:
    event, user = await session.get(Event, event_id), await session.get(User, user_id)
    return (event, user) if event and user else None


async def selectors_of(
    session: AsyncSession, subscription_ids: Iterable[int]
) -> dict[int, list[SubscriptionSelector]]:
    """Return the selectors of each subscription, oldest first."""
    ids = list(subscription_ids)
    made: dict[int, list[SubscriptionSelector]] = {one: [] for one in ids}
    query = select(SubscriptionSelector).where(SubscriptionSelector.subscription_id.in_(ids))
    for selector in await session.scalars(query.order_by(SubscriptionSelector.id)):
        made[selector.subscription_id].append(selector)
    return made


async def add_selectors(
    session: AsyncSession, subscription_id: int, integration_ids: list[int], tags: list[str]
) -> None:
    """Add the selectors the subscription does not have yet."""
    by_id = [{"integration_id": one, "tag": None} for one in integration_ids]
    by_tag = [{"integration_id": None, "tag": one} for one in tags]
    rows = [{"subscription_id": subscription_id, **one} for one in by_id + by_tag]
    if rows:
        query = insert(session, SubscriptionSelector).values(rows)
        await session.execute(query.on_conflict_do_nothing())


async def delete_selectors(
    session: AsyncSession, selectors: Iterable[SubscriptionSelector]
) -> None:
    ids = [one.id for one in selectors]
    if ids:
        query = delete(SubscriptionSelector).where(SubscriptionSelector.id.in_(ids))
        await session.execute(query.execution_options(synchronize_session=False))


async def channels_of(session: AsyncSession, user_id: int) -> Sequence[Integration]:
    """Return the user's integrations, including deleted ones."""
    query = select(Integration).where(Integration.user_id == user_id).order_by(Integration.id)
    return (await session.scalars(query)).all()
