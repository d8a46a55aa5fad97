"""The delivery ledger's state transitions (docs/architecture.md#ledger).

| from                       | to         | by                                               |
|----------------------------|------------|--------------------------------------------------|
| (new)                      | pending    | expansion, account mail                          |
| (new)                      | suppressed | account mail to an address over its mail limit   |
| pending, retrying, sending | sending    | claim (sending: its lease has ended)             |
| sending                    | sent       | mark_sent                                        |
| sending                    | retrying   | mark_not_sent; release, postpone after a result  |
| sending                    | pending    | release, postpone, mark_unreachable              |
| sending                    | failed     | mark_not_sent; finish_unsendable (ten claims)    |
| pending, retrying, sending | expired    | finish_unsendable, expire_overdue                |
| pending, retrying, sending | suppressed | finish_unsendable, suppress_open, mute, reroute  |
| failed                     | pending    | retry_failed                                     |

`states.transition` builds all of these UPDATEs and allows no other. Every mark also requires the
lease that claimed the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, literal
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger import statements
from soonish.delivery.ledger.conditions import MAX_CLAIMS, claimable_by, unsendable
from soonish.delivery.ledger.retry import is_deferred, next_attempt_at
from soonish.delivery.ledger.states import NO_LEASE, finished_values, transition
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.infra.db import sql
from soonish.infra.db.models.notifications import Delivery, DeliveryAttempt, DeliveryState
from soonish.infra.db.types import UtcDateTime

LEASE = timedelta(seconds=60)
MIN_LEASE_LEFT = timedelta(seconds=20)  # no send starts with less


@dataclass(frozen=True)
class Claimed:
    """A row that this attempt holds until its lease ends."""

    id: int
    notification_id: int
    user_id: int
    subscription_id: int | None
    target_key: str
    attempts: int
    created_at: datetime


async def finish_unsendable(
    session: AsyncSession, which: ColumnElement[bool], now: datetime
) -> None:
    """Finish those of the rows that may no longer be sent, in one statement per reason."""
    expired, suppressed = unsendable(now)
    for condition, state, outcome in (
        (expired, DeliveryState.EXPIRED, Outcome.EXPIRED),
        (suppressed, DeliveryState.SUPPRESSED, Outcome.UNSUBSCRIBED),
        (Delivery.claims > MAX_CLAIMS, DeliveryState.FAILED, Outcome.UNKNOWN),
    ):
        await session.execute(
            transition(state, which, condition, outcome=outcome, **finished_values(now))
        )


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
        else statements.make_claim(claimable_by(previous, statements.NOW))
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
        await finish_unsendable(session, _leased(session, bad, lease_token), now)
    return sorted((row for row in rows if row.id in good), key=lambda row: row.id)


async def still_sendable(
    session: AsyncSession, ids: Sequence[int], lease_token: str, now: datetime
) -> set[int]:
    """Return those of these rows that we hold, with enough lease left, and may still be sent."""
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
    """Return untried rows to the ledger; the next claim finishes those that are unsendable."""
    await postpone(session, dict.fromkeys(ids, now), lease_token)


async def postpone(session: AsyncSession, until: Mapping[int, datetime], lease_token: str) -> None:
    """Return untried rows to the ledger, each to be claimed again at its instant.

    A row that expires sooner becomes claimable then. Counts neither a try nor a claim.
    """
    instants = case(
        {row_id: literal(instant, UtcDateTime()) for row_id, instant in until.items()},
        value=Delivery.id,
    )
    is_over_first = Delivery.expires_at < instants
    untried = and_(Delivery.outcome.is_(None), Delivery.claims <= 1)
    answered = Delivery.outcome.is_not(None)  # even by a Retry-After, which counts as no attempt
    for state, condition in (
        (DeliveryState.RETRYING, answered),
        (DeliveryState.PENDING, ~answered),
    ):
        await session.execute(
            transition(
                state,
                _leased(session, until, lease_token),
                condition,
                next_attempt_at=case((is_over_first, Delivery.expires_at), else_=instants),
                first_attempt_at=case((untried, None), else_=Delivery.first_attempt_at),
                claims=Delivery.claims - 1,
                **NO_LEASE,
            )
        )


def _leased(session: AsyncSession, ids: Iterable[int], lease_token: str) -> ColumnElement[bool]:
    return and_(Delivery.id.in_(sql.id_list(session, ids)), Delivery.lease_token == lease_token)


async def mark_sent(
    session: AsyncSession, ids: Sequence[int], lease_token: str, now: datetime
) -> int:
    """Record accepted sends; return the number of rows that we still held."""
    sqlite = sql.is_sqlite(session)
    these = {"p_ids": sql.ids_value(session, ids), "p_token": lease_token, "p_now": now}
    await session.execute(statements.record_late_success(sqlite=sqlite), these)
    result: Any = await session.execute(statements.mark_sent(sqlite=sqlite), these)
    return int(result.rowcount)


async def mark_unreachable(
    session: AsyncSession, ids: Sequence[int], lease_token: str, outcome: Outcome
) -> None:
    """Make rows without a usable channel pending again; nothing claims them until one is back."""
    await session.execute(
        transition(
            DeliveryState.PENDING,
            _leased(session, ids, lease_token),
            outcome=outcome,
            claims=0,
            next_attempt_at=None,
            **NO_LEASE,
        )
    )


async def mark_not_sent(
    session: AsyncSession, row: Claimed, lease_token: str, result: SendResult, now: datetime
) -> DeliveryState:
    """Record a failed try; return RETRYING if another one may succeed, else FAILED."""
    again = next_attempt_at(row.attempts, result, now, seed=row.id)
    detail = storable(result.detail)[:300]
    state = DeliveryState.RETRYING if again else DeliveryState.FAILED
    marked: Any = await session.execute(
        statements.mark_not_sent(state),
        {
            "p_id": row.id,
            "p_token": lease_token,
            "p_now": now,
            "p_outcome": result.outcome,
            "p_detail": detail,
            "p_tries": 0 if is_deferred(result) else 1,
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
    """Remove what PostgreSQL cannot store: a failed write would cause the row to be sent again."""
    return text.replace("\0", "").encode(errors="replace").decode()
