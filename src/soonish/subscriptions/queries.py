"""Who gets what, where: the routing of DESIGN 7 as one SELECT.

`routing.py` is the same rule as a pure function, which the tests compare this with.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Select,
    String,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from soonish.db.types import Id
from soonish.delivery.outcome import Outcome
from soonish.integrations.models import Integration
from soonish.subscriptions.models import ACTIVE, Subscription, SubscriptionSelector

MAIL = "mail"


def is_active() -> ColumnElement[bool]:
    """The condition under which a subscription is served."""
    return and_(Subscription.ended_at.is_(None), Subscription.status == ACTIVE)


def targets_select(*conditions: ColumnElement[bool]) -> CompoundSelect[Any]:
    """SELECT subscription_id, user_id, target_key, integration_id, outcome.

    For each active subscription that meets the conditions: `mail` where it has no selectors,
    each distinct URL its selectors reach, and `selector:{id}` with an outcome (channel_inactive
    or channel_gone) for each selector that reaches nothing.
    """
    return union_all(_by_mail(*conditions), _by_integration(*conditions), _unreached(*conditions))


def _by_mail(*conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return select(
        Subscription.id.label("subscription_id"),
        Subscription.user_id.label("user_id"),
        literal(MAIL, String).label("target_key"),
        cast(null(), Id).label("integration_id"),
        cast(null(), String).label("outcome"),
    ).where(
        is_active(),
        *conditions,
        ~exists().where(SubscriptionSelector.subscription_id == Subscription.id),
    )


def _belongs_to_selector() -> ColumnElement[bool]:
    return and_(
        Integration.user_id == Subscription.user_id,
        or_(
            Integration.id == SubscriptionSelector.integration_id,
            Integration.tag == SubscriptionSelector.tag,
        ),
    )


def _is_usable() -> ColumnElement[bool]:
    return and_(Integration.deleted_at.is_(None), Integration.is_active.is_(True))


def _by_integration(*conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Subscription.id,
            Subscription.user_id,
            Integration.url_fingerprint,
            func.min(Integration.id),
            cast(null(), String),
        )
        .join(SubscriptionSelector, SubscriptionSelector.subscription_id == Subscription.id)
        .join(Integration, and_(_belongs_to_selector(), _is_usable()))
        .where(is_active(), *conditions)
        .group_by(Subscription.id, Subscription.user_id, Integration.url_fingerprint)
    )


def _unreached(*conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    known = exists().where(_belongs_to_selector(), Integration.deleted_at.is_(None))
    reached = exists().where(_belongs_to_selector(), _is_usable())
    return (
        select(
            Subscription.id,
            Subscription.user_id,
            literal("selector:", String) + cast(SubscriptionSelector.id, String),
            cast(null(), Id),
            case(
                (known, literal(Outcome.CHANNEL_INACTIVE.value, String)),
                else_=literal(Outcome.CHANNEL_GONE.value, String),
            ),
        )
        .join(SubscriptionSelector, SubscriptionSelector.subscription_id == Subscription.id)
        .where(is_active(), *conditions, ~reached)
    )
