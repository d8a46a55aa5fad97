"""The delivery ledger's state transitions (DESIGN 8).

| from                       | to         | by                                               |
|----------------------------|------------|--------------------------------------------------|
| (new)                      | pending    | expansion, account mail                          |
| pending, retrying, sending | sending    | claim (sending: its lease has ended)             |
| sending                    | sent       | mark_sent                                        |
| sending                    | retrying   | mark_not_sent; release, postpone once answered   |
| sending                    | pending    | release, postpone, mark_unreachable              |
| sending                    | failed     | mark_not_sent; settle_unsendable (ten claims)    |
| pending, retrying, sending | expired    | settle_unsendable, expire_overdue                |
| pending, retrying, sending | suppressed | settle_unsendable, suppress_open, reroute        |
| failed                     | pending    | revive_failed                                    |

`transitions.moving` makes all of these UPDATEs and lets no other through. Every mark asks for the
lease that claimed the row as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, exists, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.db import sql
from soonish.db.types import UtcDateTime
from soonish.delivery.outcome import Outcome, SendResult
from soonish.events.models import Event
from soonish.notifications import expansion
from soonish.notifications.messages import BroadcastState, BroadcastWork
from soonish.notifications.models import Delivery, DeliveryAttempt, Notification, State
from soonish.notifications.retry import is_asked_to_wait, next_attempt_at
from soonish.notifications.transitions import NO_LEASE, moving
from soonish.subscriptions.models import Subscription
from soonish.subscriptions.queries import is_active

LEASE = timedelta(seconds=60)
MIN_LEASE_LEFT = timedelta(seconds=20)  # no send starts with less
MAX_CLAIMS = 10
# kinds that go to people whose subscription has ended, and on cancelled events
FAREWELLS = ("removed", "unsubscribed")


@dataclass(frozen=True)
class Claimed:
    """A row that is ours until its lease ends."""

    id: int
    notification_id: int
    user_id: int
    subscription_id: int | None
    target_key: str
    attempts: int
    created_at: datetime


def claimable(now: datetime) -> ColumnElement[bool]:
    """Rows that may be sent now: untried, due again, or abandoned by a dead worker."""
    is_due = or_(Delivery.next_attempt_at.is_(None), Delivery.next_attempt_at <= now)
    return or_(
        and_(Delivery.state == State.PENDING, Delivery.outcome.is_(None), is_due),
        and_(Delivery.state == State.RETRYING, Delivery.next_attempt_at <= now),
        and_(Delivery.state == State.SENDING, Delivery.lease_until < now),
    )


def _unsendable(now: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """(expired, suppressed): why a row may no longer be sent. Correlated with Delivery."""
    expired = and_(Delivery.expires_at.is_not(None), Delivery.expires_at <= now)
    notice = Notification.id == Delivery.notification_id
    ended = and_(
        Delivery.subscription_id.is_not(None),
        exists().where(notice, Notification.kind.not_in(FAREWELLS)),
        ~exists().where(Subscription.id == Delivery.subscription_id, is_active()),
    )
    cancelled = exists().where(
        notice,
        Notification.kind.not_in((*FAREWELLS, "cancelled")),
        Event.id == Notification.event_id,
        Event.cancelled_at.is_not(None),
    )
    anchor = case((Notification.anchor == "end", Event.end_date), else_=Event.start_date)
    moved = exists().where(
        notice,
        Notification.anchor_at.is_not(None),
        Event.id == Notification.event_id,
        anchor.is_distinct_from(Notification.anchor_at),
    )
    return expired, or_(ended, cancelled, moved)


async def settle_unsendable(
    session: AsyncSession, which: ColumnElement[bool], now: datetime
) -> set[int]:
    """Mark those of the rows that may no longer be sent, in one statement a reason; which."""
    expired, suppressed = _unsendable(now)
    settled: set[int] = set()
    for condition, state, outcome in (
        (expired, State.EXPIRED, Outcome.EXPIRED),
        (suppressed, State.SUPPRESSED, Outcome.UNSUBSCRIBED),
        (Delivery.claims > MAX_CLAIMS, State.FAILED, Outcome.UNKNOWN),
    ):
        marked = await session.scalars(
            moving(state, which, condition, outcome=outcome, **_over(now)).returning(Delivery.id)
        )
        settled |= set(marked.all())
    return settled


async def has_claimable(
    session: AsyncSession, notification_id: int, previous: Sequence[str], now: datetime
) -> bool:
    """Whether a claim would find rows; polls look before they write (DESIGN 3)."""
    query = select(Delivery.id).where(
        Delivery.notification_id == notification_id, _takeable(previous, now)
    )
    return await session.scalar(query.limit(1)) is not None


def _takeable(previous: Sequence[str], now: datetime) -> ColumnElement[bool]:
    abandoned = and_(Delivery.state == State.SENDING, Delivery.lease_token.in_(previous))
    return or_(claimable(now), abandoned) if previous else claimable(now)


async def claim(
    session: AsyncSession,
    notification_id: int,
    lease_token: str,
    *,
    previous: Sequence[str] = (),
    limit: int,
    now: datetime,
) -> list[Claimed]:
    """Lease up to `limit` rows; those of `previous` (this activity's dead attempts) at once."""
    chosen = (
        select(Delivery.id)
        .where(Delivery.notification_id == notification_id, _takeable(previous, now))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = moving(
        State.SENDING,
        Delivery.id.in_(chosen.scalar_subquery()),
        lease_token=lease_token,
        lease_until=now + LEASE,
        claims=Delivery.claims + 1,
        first_attempt_at=func.coalesce(Delivery.first_attempt_at, literal(now, UtcDateTime())),
    ).returning(
        Delivery.id,
        Delivery.notification_id,
        Delivery.user_id,
        Delivery.subscription_id,
        Delivery.target_key,
        Delivery.attempts,
        Delivery.created_at,
    )
    rows = [Claimed(*row) for row in (await session.execute(statement)).all()]
    mine = and_(
        Delivery.id.in_(sql.id_list(session, [row.id for row in rows])),
        Delivery.lease_token == lease_token,
    )
    settled = await settle_unsendable(session, mine, now)
    return sorted((row for row in rows if row.id not in settled), key=lambda row: row.id)


async def still_sendable(
    session: AsyncSession, ids: Sequence[int], lease_token: str, now: datetime
) -> set[int]:
    """Of these rows, those that are ours with enough lease left and may still be sent."""
    expired, suppressed = _unsendable(now)
    query = select(Delivery.id).where(
        Delivery.id.in_(sql.id_list(session, ids)),
        Delivery.lease_token == lease_token,
        Delivery.lease_until >= now + MIN_LEASE_LEFT,
        ~func.coalesce(expired, False),
        ~suppressed,
    )
    return set((await session.scalars(query)).all())


async def release(
    session: AsyncSession, ids: Sequence[int], lease_token: str, now: datetime
) -> None:
    """Give back rows that were not tried; the next claim finds out why they were not sendable."""
    await postpone(session, dict.fromkeys(ids, now), lease_token)


async def postpone(session: AsyncSession, until: Mapping[int, datetime], lease_token: str) -> None:
    """Give back rows that were not tried, each to be claimed again at its instant.

    Or when it expires, if that is sooner. Counts neither a try nor a claim.
    """
    instants = case(
        {row_id: literal(instant, UtcDateTime()) for row_id, instant in until.items()},
        value=Delivery.id,
    )
    is_over_first = Delivery.expires_at < instants
    answered = Delivery.outcome.is_not(None)  # also by a Retry-After, which counts no attempt
    for state, condition in ((State.RETRYING, answered), (State.PENDING, ~answered)):
        await session.execute(
            moving(
                state,
                _held(session, until, lease_token),
                condition,
                next_attempt_at=case((is_over_first, Delivery.expires_at), else_=instants),
                claims=Delivery.claims - 1,
                **NO_LEASE,
            )
        )


def _held(session: AsyncSession, ids: Iterable[int], lease_token: str) -> ColumnElement[bool]:
    return and_(Delivery.id.in_(sql.id_list(session, ids)), Delivery.lease_token == lease_token)


def _over(now: datetime) -> dict[str, Any]:
    return {"finished_at": now, "next_attempt_at": None, **NO_LEASE}


async def mark_sent(
    session: AsyncSession, ids: Sequence[int], lease_token: str, now: datetime
) -> int:
    """Record what was accepted; how many rows were still ours."""
    mine = _held(session, ids, lease_token)
    await _note_late_success(session, mine, now)
    result: Any = await session.execute(
        moving(
            State.SENT,
            mine,
            outcome=Outcome.OK,
            outcome_detail=None,
            attempts=Delivery.attempts + 1,
            claims=0,
            **_over(now),
        )
    )
    return int(result.rowcount)


async def _note_late_success(
    session: AsyncSession, mine: ColumnElement[bool], now: datetime
) -> None:
    """A success after another answer is a try that the ledger row does not tell alone."""
    tries = select(
        Delivery.id, Delivery.attempts + 1, literal(now, UtcDateTime()), literal(Outcome.OK.value)
    ).where(mine, Delivery.outcome.is_not(None))
    columns = ["delivery_id", "attempt", "at", "outcome"]
    await session.execute(insert(DeliveryAttempt).from_select(columns, tries))


async def mark_unreachable(
    session: AsyncSession, ids: Sequence[int], lease_token: str, outcome: Outcome
) -> None:
    """No channel leads to these targets now: pending again, and nobody's to claim."""
    await session.execute(
        moving(
            State.PENDING,
            _held(session, ids, lease_token),
            outcome=outcome,
            claims=0,
            next_attempt_at=None,
            **NO_LEASE,
        )
    )


async def mark_not_sent(
    session: AsyncSession, row: Claimed, lease_token: str, result: SendResult, now: datetime
) -> State:
    """Record a try that failed: retrying while there is a point in it, else failed."""
    again = next_attempt_at(row.attempts, result, now, seed=row.id)
    detail = storable(result.detail)[:300]
    state = State.RETRYING if again else State.FAILED
    marked: Any = await session.execute(
        moving(
            state,
            Delivery.id == row.id,
            Delivery.lease_token == lease_token,
            outcome=result.outcome,
            outcome_detail=detail,
            attempts=Delivery.attempts + (0 if is_asked_to_wait(result) else 1),
            claims=0,
            next_attempt_at=again,
            finished_at=None if again else now,
            **NO_LEASE,
        )
    )
    if marked.rowcount:
        session.add(
            DeliveryAttempt(
                delivery_id=row.id,
                attempt=row.attempts + 1,
                at=now,
                outcome=result.outcome,
                detail=detail,
                status=result.status,
            )
        )
    return state


def storable(text: str) -> str:
    """Without what PostgreSQL cannot hold: a mark that fails would have its row sent again."""
    return text.replace("\0", "").encode(errors="replace").decode()


async def settle(session: AsyncSession, notification_id: int, now: datetime) -> BroadcastState:
    """Complete the notification if nothing is claimable, sending or retrying; say what is."""
    notification = await expansion.lock(session, notification_id)
    if notification is None:
        return BroadcastState(completed=True, claimable=0, wait_seconds=None)
    open_now = and_(Delivery.notification_id == notification_id, claimable(now))
    await settle_unsendable(session, open_now, now)
    waiting_until = case(
        (Delivery.state == State.SENDING, Delivery.lease_until), else_=Delivery.next_attempt_at
    )
    row = (
        await session.execute(
            select(
                func.count().filter(claimable(now)),
                func.min(waiting_until).filter(~claimable(now)),
            ).where(
                Delivery.notification_id == notification_id,
                Delivery.state.in_((State.PENDING, State.SENDING, State.RETRYING)),
            )
        )
    ).one()
    ready, waiting = int(row[0]), row[1]
    if not ready and waiting is None:
        notification.completed_at = notification.completed_at or now
        return BroadcastState(completed=True, claimable=0, wait_seconds=None)
    wait = 0.0 if waiting is None else max(0.0, (waiting - now).total_seconds())
    return BroadcastState(completed=False, claimable=ready, wait_seconds=wait)


async def expire_overdue(session: AsyncSession, notification_id: int, now: datetime) -> int:
    """Put down what waits past its time, also for a channel that never came back; how many."""
    if await expansion.lock(session, notification_id) is None:
        return 0
    overdue = and_(
        Delivery.notification_id == notification_id,
        Delivery.state.in_((State.PENDING, State.RETRYING)),
        Delivery.expires_at <= now,
    )
    ended: Any = await session.execute(
        moving(State.EXPIRED, overdue, outcome=Outcome.EXPIRED, **_over(now))
    )
    await settle(session, notification_id, now)
    return int(ended.rowcount)


async def hurry(
    session: AsyncSession, user_id: int, target_key: str, now: datetime
) -> Sequence[int]:
    """Have what waits for this target claimed at once; the notifications it belongs to."""
    waiting = (
        update(Delivery)
        .where(
            Delivery.user_id == user_id,
            Delivery.target_key == target_key,
            Delivery.state.in_((State.PENDING, State.RETRYING)),
            Delivery.next_attempt_at > now,
        )
        .values(next_attempt_at=now)
        .returning(Delivery.notification_id)
        .execution_options(synchronize_session=False)
    )
    return sorted(set((await session.scalars(waiting)).all()))


async def revive_failed(session: AsyncSession, notification_id: int, now: datetime) -> int:
    """Make failed rows that are not too late pending again, with all their tries; how many."""
    notification = await expansion.lock(session, notification_id)
    revived: Any = await session.execute(
        moving(
            State.PENDING,
            Delivery.notification_id == notification_id,
            Delivery.state == State.FAILED,
            or_(Delivery.expires_at.is_(None), Delivery.expires_at > now),
            attempts=0,
            claims=0,
            next_attempt_at=None,
            outcome=None,
            outcome_detail=None,
            finished_at=None,
            **NO_LEASE,
        )
    )
    if revived.rowcount and notification:
        notification.completed_at = None
    return int(revived.rowcount)


async def open_broadcasts(
    session: AsyncSession, event_id: int, now: datetime, limit: int = 50
) -> list[BroadcastWork]:
    """The event's notifications with rows to send now, in the order they were asked for.

    That is the order of their rows: a message's notification is older than the welcome that was
    asked for before it and is written by the same `advance`.
    """
    query = (
        select(Notification.id, func.count(Delivery.id))
        .join(Delivery, and_(Delivery.notification_id == Notification.id, claimable(now)))
        .where(Notification.event_id == event_id, Notification.completed_at.is_(None))
        .group_by(Notification.id)
        .order_by(func.min(Delivery.id))
        .limit(limit)
    )
    return [BroadcastWork(int(n), int(c)) for n, c in (await session.execute(query)).all()]
