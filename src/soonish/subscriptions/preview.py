"""Where a choice of channels and tags would reach somebody, before it is saved (DESIGN 7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from soonish.integrations.models import Integration
from soonish.subscriptions.models import SubscriptionSelector
from soonish.subscriptions.routing import is_usable, matching


@dataclass(frozen=True)
class Reach:
    """The channels that are reached, each address once; `address` where it goes by mail instead.

    `silent`: what is chosen and reaches nothing now, as people call it.
    """

    channels: list[Integration]
    address: str | None
    silent: list[str]


def reach(
    integration_ids: Iterable[int],
    tags: Iterable[str],
    own: Iterable[Integration],
    address: str | None,
) -> Reach:
    """The rule of `routing.targets` for selectors that do not exist yet; foreign ids reach nothing.

    `own` are the user's integrations, deleted ones may be among them.
    """
    present = [one for one in own if one.deleted_at is None]
    chosen = [SubscriptionSelector(integration_id=one, tag=None) for one in integration_ids]
    chosen += [SubscriptionSelector(integration_id=None, tag=one.lower()) for one in tags]
    meant = [(selector, matching(selector, present)) for selector in chosen]
    usable = sorted((o for _, found in meant for o in found if is_usable(o)), key=lambda o: o.id)
    first = {one.url_fingerprint: one for one in reversed(usable)}
    silent = [_name(one, found) for one, found in meant if not any(map(is_usable, found))]
    channels = sorted(first.values(), key=lambda one: one.id)
    return Reach(channels, None if chosen else address, [name for name in silent if name])


def _name(selector: SubscriptionSelector, found: list[Integration]) -> str:
    if selector.tag is not None:
        return f"#{selector.tag}"
    return found[0].name if found else ""
