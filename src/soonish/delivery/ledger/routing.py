"""Route a subscription to its targets: as one SELECT, and as a pure function.

The SELECT is what runs. `targets` is the same rule in Python: tests compare the two, and the
warnings in API responses come from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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

from soonish.delivery.transports.outcome import Outcome
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.subscriptions import ACTIVE, Subscription, SubscriptionSelector
from soonish.infra.db.types import Id

MAIL = "mail"


def is_active() -> ColumnElement[bool]:
    """Match subscriptions that get messages."""
    return and_(Subscription.ended_at.is_(None), Subscription.status == ACTIVE)


def select_targets(*conditions: ColumnElement[bool]) -> CompoundSelect[Any]:
    """Select subscription_id, user_id, target_key, integration_id and outcome.

    One row for each target of each matching active subscription: `mail` if it has no selectors,
    each distinct URL that its selectors reach, and `selector:{id}` with an outcome
    (channel_inactive or channel_gone) for each selector that reaches nothing.
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


@dataclass(frozen=True)
class Target:
    """`mail`, an integration's URL fingerprint, or `selector:{id}` with why nothing is reached."""

    target_key: str
    integration_id: int | None = None
    outcome: Outcome | None = None


def targets(
    subscription: Subscription,
    selectors: Iterable[SubscriptionSelector],
    integrations: Iterable[Integration],
) -> set[Target]:
    """Return the subscription's targets: each URL once, each unreached selector once.

    `selectors` are the subscription's; of `integrations` only those of its user count. Empty for
    a subscription that has ended or waits for approval.
    """
    if subscription.ended_at is not None or subscription.status != ACTIVE:
        return set()
    chosen = list(selectors)
    own = [one for one in integrations if one.user_id == subscription.user_id]
    if not chosen:
        return {Target(MAIL)}
    reached = [one for selector in chosen for one in matching(selector, own) if is_usable(one)]
    first = {one.url_fingerprint: one.id for one in sorted(reached, key=lambda i: i.id)[::-1]}
    unreached = (unreached_outcome(selector, own) for selector in chosen)
    pairs = zip(chosen, unreached, strict=True)
    return {Target(key, integration_id) for key, integration_id in first.items()} | {
        Target(f"selector:{selector.id}", None, outcome) for selector, outcome in pairs if outcome
    }


def matching(selector: SubscriptionSelector, own: Iterable[Integration]) -> list[Integration]:
    """Return the user's integrations that a selector names, usable or not."""
    return [
        one
        for one in own
        if one.id == selector.integration_id
        or (selector.tag is not None and one.tag == selector.tag)
    ]


def is_usable(integration: Integration) -> bool:
    return integration.is_active and integration.deleted_at is None


def unreached_outcome(selector: SubscriptionSelector, own: Iterable[Integration]) -> Outcome | None:
    """Return the reason why a selector reaches no channel; None if it reaches one."""
    meant = matching(selector, own)
    if any(is_usable(one) for one in meant):
        return None
    if any(one.deleted_at is None for one in meant):
        return Outcome.CHANNEL_INACTIVE
    return Outcome.CHANNEL_GONE
