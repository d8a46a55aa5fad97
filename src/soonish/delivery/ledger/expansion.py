"""Writing the ledger's rows for an audience: one INSERT ... SELECT.

See docs/architecture.md#workflows.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CompoundSelect, Select, String, and_, cast, literal, null, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger import expansion
from soonish.delivery.ledger.routing import targets_select
from soonish.delivery.ledger.states import moving
from soonish.delivery.transports.outcome import Outcome
from soonish.infra.db import sql
from soonish.infra.db.models.notifications import Delivery, Notification, State
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


async def take(session: AsyncSession, notification_id: int, now: datetime) -> None:
    """Mark the broadcast's outbox rows done; route again the users whom they name."""
    rows = await outbox.undone(session, streams.broadcast(notification_id))
    for user_id in {row.payload["user_id"] for row in rows if "user_id" in row.payload}:
        await _route_again(session, notification_id, user_id, now)
    outbox.finish_rows(rows, now)


async def _route_again(
    session: AsyncSession, notification_id: int, user_id: int, now: datetime
) -> None:
    """Rows that wait for a channel: to be claimed again, or replaced by what is reachable now."""
    notification = await expansion.lock(session, notification_id)
    waiting = select(Delivery).where(
        and_(
            Delivery.notification_id == notification_id,
            Delivery.user_id == user_id,
            Delivery.state == State.PENDING,
            Delivery.outcome.is_not(None),
            Delivery.expires_at > now,
        )
    )
    stuck = (await session.scalars(waiting)).all()
    if notification is None or not stuck:
        return
    mine = Subscription.id.in_([row.subscription_id for row in stuck if row.subscription_id])
    targets = (await session.execute(targets_select(mine))).all()
    outcomes = {(row.subscription_id, row.target_key): row.outcome for row in targets}
    replaced: list[int] = []
    for row in stuck:
        key = (row.subscription_id, row.target_key)
        if key in outcomes:
            row.outcome = outcomes[key]
        else:
            replaced.append(row.id)
    await session.flush()
    await session.execute(moving(State.SUPPRESSED, Delivery.id.in_(replaced), finished_at=now))
    expires_at = min(row.expires_at for row in stuck if row.expires_at)
    await expansion.expand(session, notification, mine, now=now, expires_at=expires_at)
    notification.completed_at = None
