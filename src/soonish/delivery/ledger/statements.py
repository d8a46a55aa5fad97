"""The ledger's statements that run for every batch of rows, made once.

Making one anew costs more than running it. Their parameters begin with `p_`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    Insert,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    func,
    literal,
    select,
)
from sqlalchemy.sql.dml import ReturningUpdate, Update
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger.conditions import MAX_CLAIMS, claimable, unsendable
from soonish.delivery.ledger.states import NO_LEASE, moving
from soonish.delivery.transports.outcome import Outcome
from soonish.infra.db import sql
from soonish.infra.db.models.notifications import Delivery, DeliveryAttempt, State
from soonish.infra.db.types import Id, UtcDateTime

NOW = bindparam("p_now", type_=UtcDateTime())
_TOKEN = bindparam("p_token", type_=String())


@cache
def claim() -> ReturningUpdate[*tuple[Any, ...]]:
    """See make_claim."""
    return make_claim(claimable(NOW))


def make_claim(takeable: ColumnElement[bool]) -> ReturningUpdate[*tuple[Any, ...]]:
    """Takes p_notification_id, p_token, p_until, p_limit, p_now; answers Claimed's fields.

    The choice is a CTE: PostgreSQL may run a subquery with FOR UPDATE again for every row that
    it joins, and take more than the limit.
    """
    chosen = (
        select(Delivery.id)
        .where(Delivery.notification_id == bindparam("p_notification_id", type_=Id), takeable)
        .limit(bindparam("p_limit", type_=Integer()))
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    return moving(
        State.SENDING,
        Delivery.id.in_(select(chosen.c.id)),
        lease_token=_TOKEN,
        lease_until=bindparam("p_until", type_=UtcDateTime()),
        claims=Delivery.claims + 1,
        first_attempt_at=func.coalesce(Delivery.first_attempt_at, NOW),
    ).returning(
        Delivery.id,
        Delivery.notification_id,
        Delivery.user_id,
        Delivery.subscription_id,
        Delivery.target_key,
        Delivery.attempts,
        Delivery.created_at,
    )


def is_sendable(*, sqlite: bool) -> ColumnElement[bool]:
    """Of the deliveries p_ids those that are ours with enough lease left and may still be sent.

    Takes p_ids, p_token, p_now, p_enough.
    """
    expired, suppressed = unsendable(NOW)
    return and_(
        _held(sqlite),
        Delivery.lease_until >= bindparam("p_enough", type_=UtcDateTime()),
        Delivery.claims <= MAX_CLAIMS,
        ~func.coalesce(expired, False),
        ~suppressed,
    )


@cache
def still_sendable(*, sqlite: bool) -> Select[int]:
    """As is_sendable; answers the ids."""
    return select(Delivery.id).where(is_sendable(sqlite=sqlite))


@cache
def mark_sent(*, sqlite: bool) -> Update:
    """Takes p_ids, p_token, p_now."""
    return moving(
        State.SENT,
        _held(sqlite),
        outcome=Outcome.OK,
        outcome_detail=None,
        attempts=Delivery.attempts + 1,
        claims=0,
        finished_at=NOW,
        next_attempt_at=None,
        **NO_LEASE,
    )


@cache
def mark_not_sent(state: State) -> Update:
    """Takes p_id, p_token, p_now, p_outcome, p_detail, p_tries (to add) and p_next (an instant)."""
    return moving(
        state,
        Delivery.id == bindparam("p_id", type_=Id),
        Delivery.lease_token == _TOKEN,
        outcome=bindparam("p_outcome", type_=String()),
        outcome_detail=bindparam("p_detail", type_=String()),
        attempts=Delivery.attempts + bindparam("p_tries", type_=Integer()),
        claims=0,
        next_attempt_at=bindparam("p_next", type_=UtcDateTime()),
        finished_at=None if state is State.RETRYING else NOW,
        **NO_LEASE,
    )


@cache
def note_late_success(*, sqlite: bool) -> Insert:
    """Takes p_ids, p_token, p_now. A success after another answer is a try of its own."""
    tries = select(
        Delivery.id, Delivery.attempts + 1, NOW.label("at"), literal(Outcome.OK.value)
    ).where(_held(sqlite), Delivery.outcome.is_not(None))
    columns = ["delivery_id", "attempt", "at", "outcome"]
    return sql.core_insert(DeliveryAttempt, sqlite=sqlite).from_select(columns, tries)


def _held(sqlite: bool) -> ColumnElement[bool]:
    return and_(Delivery.id.in_(sql.ids(sqlite=sqlite)), Delivery.lease_token == _TOKEN)
