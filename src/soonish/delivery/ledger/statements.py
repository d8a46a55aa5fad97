"""Statements that run for every batch of the ledger's rows, built once.

Building one costs more than running it. Their parameters begin with `p_`.
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
from soonish.delivery.ledger.states import NO_LEASE, transition
from soonish.delivery.transports.outcome import Outcome
from soonish.infra.db import sql
from soonish.infra.db.models.notifications import Delivery, DeliveryAttempt, DeliveryState
from soonish.infra.db.types import Id, UtcDateTime

NOW = bindparam("p_now", type_=UtcDateTime())
_TOKEN = bindparam("p_token", type_=String())


@cache
def claim() -> ReturningUpdate[*tuple[Any, ...]]:
    """Return the claim of claimable rows, see make_claim."""
    return make_claim(claimable(NOW))


def make_claim(claimable_by: ColumnElement[bool]) -> ReturningUpdate[*tuple[Any, ...]]:
    """Build a claim that returns the fields of Claimed.

    Parameters: p_notification_id, p_token, p_until, p_limit, p_now. The rows are chosen in a CTE:
    PostgreSQL may run a subquery with FOR UPDATE again for every row that it joins, and take more
    than the limit.
    """
    chosen = (
        select(Delivery.id)
        .where(Delivery.notification_id == bindparam("p_notification_id", type_=Id), claimable_by)
        .limit(bindparam("p_limit", type_=Integer()))
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    return transition(
        DeliveryState.SENDING,
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
    """Match those of the deliveries p_ids that we hold long enough and may still be sent.

    Parameters: p_ids, p_token, p_now, p_enough.
    """
    expired, suppressed = unsendable(NOW)
    return and_(
        _leased(sqlite),
        Delivery.lease_until >= bindparam("p_enough", type_=UtcDateTime()),
        Delivery.claims <= MAX_CLAIMS,
        ~func.coalesce(expired, False),
        ~suppressed,
    )


@cache
def still_sendable(*, sqlite: bool) -> Select[int]:
    """Select the ids of the rows that meet is_sendable, with the same parameters."""
    return select(Delivery.id).where(is_sendable(sqlite=sqlite))


@cache
def mark_sent(*, sqlite: bool) -> Update:
    """Build the update of accepted rows. Parameters: p_ids, p_token, p_now."""
    return transition(
        DeliveryState.SENT,
        _leased(sqlite),
        outcome=Outcome.OK,
        outcome_detail=None,
        attempts=Delivery.attempts + 1,
        claims=0,
        finished_at=NOW,
        next_attempt_at=None,
        **NO_LEASE,
    )


@cache
def mark_not_sent(state: DeliveryState) -> Update:
    """Build the update of a row whose try failed.

    Parameters: p_id, p_token, p_now, p_outcome, p_detail, p_tries (to add), p_next (an instant).
    """
    return transition(
        state,
        Delivery.id == bindparam("p_id", type_=Id),
        Delivery.lease_token == _TOKEN,
        outcome=bindparam("p_outcome", type_=String()),
        outcome_detail=bindparam("p_detail", type_=String()),
        attempts=Delivery.attempts + bindparam("p_tries", type_=Integer()),
        claims=0,
        next_attempt_at=bindparam("p_next", type_=UtcDateTime()),
        finished_at=None if state is DeliveryState.RETRYING else NOW,
        **NO_LEASE,
    )


@cache
def record_late_success(*, sqlite: bool) -> Insert:
    """Insert an attempt for each success after an earlier result.

    Parameters: p_ids, p_token, p_now.
    """
    tries = select(
        Delivery.id, Delivery.attempts + 1, NOW.label("at"), literal(Outcome.OK.value)
    ).where(_leased(sqlite), Delivery.outcome.is_not(None))
    columns = ["delivery_id", "attempt", "at", "outcome"]
    return sql.core_insert(DeliveryAttempt, sqlite=sqlite).from_select(columns, tries)


def _leased(sqlite: bool) -> ColumnElement[bool]:
    return and_(Delivery.id.in_(sql.ids(sqlite=sqlite)), Delivery.lease_token == _TOKEN)
