"""Writing the ledger's rows for an audience: one INSERT ... SELECT (DESIGN 5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CompoundSelect, Select, String, cast, literal, null, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.db import sql
from soonish.db.types import Id, UtcDateTime
from soonish.delivery.outcome import Outcome
from soonish.notifications.models import Delivery, Notification, State
from soonish.notifications.transitions import moving
from soonish.subscriptions.models import Subscription
from soonish.subscriptions.queries import targets_select

MESSAGE_LIFETIME = timedelta(hours=72)  # of every event message without an anchor
_COLUMNS = [
    "notification_id",
    "user_id",
    "subscription_id",
    "target_key",
    "integration_id",
    "outcome",
    "due_at",
    "expires_at",
    "state",
    "attempts",
    "claims",
    "created_at",
]


async def lock(session: AsyncSession, notification_id: int) -> Notification | None:
    """The notification's row, locked: whoever adds, revives or completes rows takes it first."""
    query = select(Notification).where(Notification.id == notification_id).with_for_update()
    return await session.scalar(query.execution_options(populate_existing=True))


async def ensure(session: AsyncSession, **values: Any) -> Notification:
    """The locked notification with this `dedup_key`, made from the values if there is none."""
    statement = sql.insert(session, Notification).values(**values).on_conflict_do_nothing()
    await session.execute(statement)
    query = select(Notification).where(Notification.dedup_key == values["dedup_key"])
    query = query.with_for_update().execution_options(populate_existing=True)
    return (await session.scalars(query)).one()


async def expand(
    session: AsyncSession,
    notification: Notification,
    *conditions: ColumnElement[bool],
    now: datetime,
    due_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> int:
    """Add a row per target of the active subscriptions that meet the conditions; how many."""
    expires_at = expires_at or now + MESSAGE_LIFETIME
    return await _insert(
        session, notification, targets_select(*conditions), now, due_at, expires_at
    )


async def add_mail(
    session: AsyncSession,
    notification: Notification,
    *conditions: ColumnElement[bool],
    now: datetime,
    expires_at: datetime | None = None,
) -> int:
    """Add a mail row for subscriptions, ended ones too; how many."""
    query = select(
        Subscription.id.label("subscription_id"),
        Subscription.user_id.label("user_id"),
        literal("mail", String).label("target_key"),
        cast(null(), Id).label("integration_id"),
        cast(null(), String).label("outcome"),
    ).where(*conditions)
    expires_at = expires_at or now + MESSAGE_LIFETIME
    return await _insert(session, notification, query, now, None, expires_at)


async def _insert(
    session: AsyncSession,
    notification: Notification,
    targets: CompoundSelect[Any] | Select[*tuple[Any, ...]],
    now: datetime,
    due_at: datetime | None,
    expires_at: datetime,
) -> int:
    target = targets.subquery()
    rows = select(
        literal(notification.id, Id),
        target.c.user_id,
        target.c.subscription_id,
        target.c.target_key,
        target.c.integration_id,
        target.c.outcome,
        literal(due_at, UtcDateTime()),
        literal(expires_at, UtcDateTime()),
        literal(State.PENDING.value),
        literal(0),
        literal(0),
        literal(now, UtcDateTime()),
    ).where(literal(True))  # SQLite reads ON CONFLICT as a join without a WHERE before it
    statement = sql.insert(session, Delivery).from_select(_COLUMNS, rows)
    result: Any = await session.execute(statement.on_conflict_do_nothing())
    notification.expanded_at = notification.expanded_at or now
    if result.rowcount:
        notification.completed_at = None
    return int(result.rowcount)


async def mute(
    session: AsyncSession, notification: Notification, subscription_ids: list[int], now: datetime
) -> None:
    """Suppress what was not tried yet of these subscriptions: their addresses had enough mails."""
    await session.execute(
        moving(
            State.SUPPRESSED,
            Delivery.notification_id == notification.id,
            Delivery.subscription_id.in_(sql.id_list(session, subscription_ids)),
            Delivery.state == State.PENDING,
            outcome=Outcome.RATE_LIMITED,
            finished_at=now,
        )
    )


async def suppress_open(
    session: AsyncSession, event_id: int, except_id: int, now: datetime
) -> None:
    """A cancellation takes back what was not sent of the event's earlier notifications."""
    earlier = select(Notification.id).where(
        Notification.event_id == event_id,
        Notification.id != except_id,
        Notification.kind.not_in(("removed", "unsubscribed")),
    )
    await session.execute(
        moving(
            State.SUPPRESSED,
            Delivery.notification_id.in_(earlier),
            Delivery.state != State.SENDING,  # those are their holder's
            finished_at=now,
            next_attempt_at=None,
        )
    )
    await session.execute(
        update(Notification)
        .where(
            Notification.id.in_(earlier),
            Notification.completed_at.is_(None),
            ~select(Delivery.id)
            .where(Delivery.notification_id == Notification.id, Delivery.state == State.SENDING)
            .exists(),
        )
        .values(completed_at=now)
    )
