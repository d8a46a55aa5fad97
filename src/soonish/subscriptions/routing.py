"""The routing rule of DESIGN 7 as a pure function.

The SELECT in `queries.py` is what runs; this is the reference that the tests compare it with,
and what an answer's warnings are made of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from soonish.delivery.outcome import Outcome
from soonish.integrations.models import Integration
from soonish.subscriptions.models import ACTIVE, Subscription, SubscriptionSelector

MAIL = "mail"


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
    """Where a message to the subscription goes: each URL once, each unreached selector once.

    `selectors` are the subscription's; of `integrations` only those of its user count. Nothing
    for a subscription that has ended or waits for approval.
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
    """The user's integrations that a selector means, usable or not."""
    return [
        one
        for one in own
        if one.id == selector.integration_id
        or (selector.tag is not None and one.tag == selector.tag)
    ]


def is_usable(integration: Integration) -> bool:
    return integration.is_active and integration.deleted_at is None


def unreached_outcome(selector: SubscriptionSelector, own: Iterable[Integration]) -> Outcome | None:
    """None where the selector reaches a channel, else why it does not."""
    meant = matching(selector, own)
    if any(is_usable(one) for one in meant):
        return None
    if any(one.deleted_at is None for one in meant):
        return Outcome.CHANNEL_INACTIVE
    return Outcome.CHANNEL_GONE
