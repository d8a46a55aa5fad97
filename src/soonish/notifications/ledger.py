"""The delivery ledger's state transitions (DESIGN 8).

| from                       | to         | by                                               |
|----------------------------|------------|--------------------------------------------------|
| (new)                      | pending    | expansion, account mail                          |
| (new)                      | suppressed | account mail to an address that had enough       |
| pending, retrying, sending | sending    | claim (sending: its lease has ended)             |
| sending                    | sent       | mark_sent                                        |
| sending                    | retrying   | mark_not_sent; release, postpone once answered   |
| sending                    | pending    | release, postpone, mark_unreachable              |
| sending                    | failed     | mark_not_sent; settle_unsendable (ten claims)    |
| pending, retrying, sending | expired    | settle_unsendable, expire_overdue                |
| pending, retrying, sending | suppressed | settle_unsendable, suppress_open, mute, reroute  |
| failed                     | pending    | revive_failed                                    |

`transitions.moving` makes all of these UPDATEs and lets no other through. Every mark asks for the
lease that claimed the row as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.db import sql
from soonish.db.types import UtcDateTime
from soonish.delivery.outcome import Outcome, SendResult
from soonish.notifications import expansion, statements
from soonish.notifications.conditions import MAX_CLAIMS, claimable, takeable, unsendable
from soonish.notifications.messages import BroadcastState, BroadcastWork
from soonish.notifications.models import Delivery, DeliveryAttempt, Notification, State
from soonish.notifications.retry import is_asked_to_wait, next_attempt_at
from soonish.notifications.transitions import NO_LEASE, moving

LEASE = timedelta(seconds=60)
MIN_LEASE_LEFT = timedelta(seconds=20)  # no send starts with less
LOOK_AGAIN = timedelta(
    seconds=5
)  # at rows that are being sent: a straggler ends long before its lease


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


async def settle_unsendable(
    session: AsyncSession, which: ColumnElement[bool], now: datetime
) -> None:
    """Mark those of the rows that may no longer be sent, in one statement a reason."""
    expired, suppressed = unsendable(now)
    for condition, state, outcome in (
        (expired, State.EXPIRED, Outcome.EXPIRED),
        (suppressed, State.SUPPRESSED, Outcome.UNSUBSCRIBED),
        (Delivery.claims > MAX_CLAIMS, State.FAILED, Outcome.UNKNOWN),
    ):
        await session.execute(moving(state, which, condition, outcome=outcome, **_over(now)))


async def has_claimable(
    session: AsyncSession, notification_id: int, previous: Sequence[str], now: datetime
) -> bool:
    """Whether a claim would find rows; polls look before they write (DESIGN 3)."""
    query = select(Delivery.id).where(
        Delivery.notification_id == notification_id, takeable(previous, now)
    )
    return await session.scalar(query.limit(1)) is not None


async def count_claimable(session: AsyncSession, notification_id: int, now: datetime) -> int:
    """How many rows can be sent now."""
    query = select(func.count()).where(Delivery.notification_id == notification_id, claimable(now))
    return int(await session.scalar(query) or 0)


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
    claiming = (
        statements.claim()
        if not previous
        else statements.make_claim(takeable(previous, statements.NOW))
    )
    taken = await session.execute(
        claiming,
        {
            "p_notification_id": notification_id,
            "p_token": lease_token,
            "p_until": now + LEASE,
            "p_limit": limit,
            "p_now": now,
        },
    )
    rows = [Claimed(*row) for row in taken.all()]
    good = await still_sendable(session, [row.id for row in rows], lease_token, now)
    bad = [row.id for row in rows if row.id not in good]
    if bad:
        await settle_unsendable(session, _held(session, bad, lease_token), now)
    return sorted((row for row in rows if row.id in good), key=lambda row: row.id)


async def still_sendable(
    session: AsyncSession, ids: Sequence[int], lease_token: str, now: datetime
) -> set[int]:
    """Of these rows, those that are ours with enough lease left and may still be sent."""
    found = await session.scalars(
        statements.still_sendable(sqlite=sql.is_sqlite(session)),
        {
            "p_ids": sql.ids_value(session, ids),
            "p_token": lease_token,
            "p_now": now,
            "p_enough": now + MIN_LEASE_LEFT,
        },
    )
    return set(found.all())


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
    untried = and_(Delivery.outcome.is_(None), Delivery.claims <= 1)
    answered = Delivery.outcome.is_not(None)  # also by a Retry-After, which counts no attempt
    for state, condition in ((State.RETRYING, answered), (State.PENDING, ~answered)):
        await session.execute(
            moving(
                state,
                _held(session, until, lease_token),
                condition,
                next_attempt_at=case((is_over_first, Delivery.expires_at), else_=instants),
                first_attempt_at=case((untried, None), else_=Delivery.first_attempt_at),
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
    sqlite = sql.is_sqlite(session)
    these = {"p_ids": sql.ids_value(session, ids), "p_token": lease_token, "p_now": now}
    await session.execute(statements.note_late_success(sqlite=sqlite), these)
    result: Any = await session.execute(statements.mark_sent(sqlite=sqlite), these)
    return int(result.rowcount)


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
        statements.mark_not_sent(state),
        {
            "p_id": row.id,
            "p_token": lease_token,
            "p_now": now,
            "p_outcome": result.outcome,
            "p_detail": detail,
            "p_tries": 0 if is_asked_to_wait(result) else 1,
            "p_next": again,
        },
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
    ready, waiting = await _open(session, notification_id, now)
    if ready:
        open_now = and_(Delivery.notification_id == notification_id, claimable(now))
        await settle_unsendable(session, open_now, now)
        ready, waiting = await _open(session, notification_id, now)
    if not ready and waiting is None:
        notification.completed_at = notification.completed_at or now
        return BroadcastState(completed=True, claimable=0, wait_seconds=None)
    wait = 0.0 if waiting is None else max(0.0, (waiting - now).total_seconds())
    return BroadcastState(completed=False, claimable=ready, wait_seconds=wait)


async def _open(
    session: AsyncSession, notification_id: int, now: datetime
) -> tuple[int, datetime | None]:
    """How many rows can be sent now, and when the next of the others can."""
    soon = literal(now + LOOK_AGAIN, UtcDateTime())
    waiting_until = case(
        (and_(Delivery.state == State.SENDING, Delivery.lease_until > soon), soon),
        (Delivery.state == State.SENDING, Delivery.lease_until),
        else_=Delivery.next_attempt_at,
    )
    query = select(
        func.count().filter(claimable(now)),
        func.min(waiting_until).filter(~claimable(now)),
    ).where(
        Delivery.notification_id == notification_id,
        Delivery.state.in_((State.PENDING, State.SENDING, State.RETRYING)),
    )
    row = (await session.execute(query)).one()
    return int(row[0]), row[1]


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
