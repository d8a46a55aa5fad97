"""Write the ledger's rows for an audience with one INSERT... SELECT.

See docs/architecture.md#workflows.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Select,
    String,
    and_,
    cast,
    exists,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger import expansion
from soonish.delivery.ledger.routing import select_targets
from soonish.delivery.ledger.states import transition
from soonish.delivery.transports.outcome import Outcome
from soonish.infra.db import sql
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.notifications import FAREWELLS, Delivery, DeliveryState, Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import Id, UtcDateTime
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams

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
    """Lock and return the notification's row. Adding, retrying or completing rows needs it."""
    query = select(Notification).where(Notification.id == notification_id).with_for_update()
    return await session.scalar(query.execution_options(populate_existing=True))


async def get_or_create(session: AsyncSession, **values: Any) -> Notification:
    """Return the locked notification with this `dedup_key`, created from the values if new."""
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
    """Add a row per target of the matching active subscriptions; return their number."""
    expires_at = expires_at or now + MESSAGE_LIFETIME
    return await _insert(
        session, notification, select_targets(*conditions), now, due_at, expires_at
    )


async def add_mail(
    session: AsyncSession,
    notification: Notification,
    *conditions: ColumnElement[bool],
    now: datetime,
    expires_at: datetime | None = None,
) -> int:
    """Add a mail row for each matching subscription, even an ended one; return their number."""
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
    """Leave out users erased since: nothing is to reach them, not even a farewell."""
    target = targets.subquery()
    is_erased = exists().where(User.id == target.c.user_id, User.erased_at.is_not(None))
    rows = select(
        literal(notification.id, Id),
        target.c.user_id,
        target.c.subscription_id,
        target.c.target_key,
        target.c.integration_id,
        target.c.outcome,
        literal(due_at, UtcDateTime()),
        literal(expires_at, UtcDateTime()),
        literal(DeliveryState.PENDING.value),
        literal(0),
        literal(0),
        literal(now, UtcDateTime()),
    ).where(~is_erased)  # without a WHERE, SQLite would read ON CONFLICT as a join
    statement = sql.insert(session, Delivery).from_select(_COLUMNS, rows)
    result: Any = await session.execute(statement.on_conflict_do_nothing())
    notification.expanded_at = notification.expanded_at or now
    if result.rowcount:
        notification.completed_at = None
    return int(result.rowcount)


async def mute(
    session: AsyncSession, notification: Notification, subscription_ids: list[int], now: datetime
) -> None:
    """Suppress untried rows of these subscriptions, whose addresses are over their mail limit."""
    await session.execute(
        transition(
            DeliveryState.SUPPRESSED,
            Delivery.notification_id == notification.id,
            Delivery.subscription_id.in_(sql.id_list(session, subscription_ids)),
            Delivery.state == DeliveryState.PENDING,
            outcome=Outcome.RATE_LIMITED,
            finished_at=now,
        )
    )


async def suppress_open(
    session: AsyncSession, event_id: int, except_id: int, now: datetime
) -> None:
    """Suppress unsent rows of the event's other notifications after a cancellation."""
    earlier = select(Notification.id).where(
        Notification.event_id == event_id,
        Notification.id != except_id,
        Notification.kind.not_in(FAREWELLS),
    )
    await session.execute(
        transition(
            DeliveryState.SUPPRESSED,
            Delivery.notification_id.in_(earlier),
            Delivery.state != DeliveryState.SENDING,  # those are their holder's
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
            .where(
                Delivery.notification_id == Notification.id, Delivery.state == DeliveryState.SENDING
            )
            .exists(),
        )
        .values(completed_at=now)
    )


async def consume_outbox(session: AsyncSession, notification_id: int, now: datetime) -> None:
    """Mark the broadcast's outbox rows done and reroute the users they name."""
    rows = await outbox.undone(session, streams.broadcast(notification_id))
    for user_id in {row.payload["user_id"] for row in rows if "user_id" in row.payload}:
        await _reroute(session, notification_id, user_id, now)
    outbox.finish_rows(rows, now)


async def _reroute(
    session: AsyncSession, notification_id: int, user_id: int, now: datetime
) -> None:
    """Make rows that wait for a channel claimable, or replace them by reachable targets."""
    notification = await expansion.lock(session, notification_id)
    waiting = select(Delivery).where(
        and_(
            Delivery.notification_id == notification_id,
            Delivery.user_id == user_id,
            Delivery.state == DeliveryState.PENDING,
            Delivery.outcome.is_not(None),
            Delivery.expires_at > now,
        )
    )
    stuck = (await session.scalars(waiting)).all()
    if notification is None or not stuck:
        return
    mine = Subscription.id.in_([row.subscription_id for row in stuck if row.subscription_id])
    targets = (await session.execute(select_targets(mine))).all()
    outcomes = {(row.subscription_id, row.target_key): row.outcome for row in targets}
    replaced: list[int] = []
    for row in stuck:
        key = (row.subscription_id, row.target_key)
        if key in outcomes:
            row.outcome = outcomes[key]
        else:
            replaced.append(row.id)
    await session.flush()
    await session.execute(
        transition(DeliveryState.SUPPRESSED, Delivery.id.in_(replaced), finished_at=now)
    )
    expires_at = min(row.expires_at for row in stuck if row.expires_at)
    await expansion.expand(session, notification, mine, now=now, expires_at=expires_at)
    notification.completed_at = None
