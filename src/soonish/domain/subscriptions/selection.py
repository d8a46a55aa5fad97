"""Validate a choice of channels and tags, and compute its reach and warnings. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from soonish.delivery.ledger.routing import is_usable, matching, unreached_outcome
from soonish.delivery.transports.outcome import Outcome
from soonish.domain.subscriptions.schemas import Selection, SelectionPatch
from soonish.errors import FieldError, InvalidInput
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.subscriptions import SubscriptionSelector


@dataclass(frozen=True)
class SelectionReach:
    """The reached channels without duplicate addresses; `address` if it goes by mail instead.

    `silent`: names of chosen channels and tags that reach nothing now.
    """

    channels: list[Integration]
    address: str | None
    silent: list[str]


def reach(
    integration_ids: Iterable[int],
    tags: Iterable[str],
    own: Iterable[Integration],
    address: str | None,
) -> SelectionReach:
    """Return the reach of selectors that do not exist yet, by the rule of `routing.targets`.

    `own` are the user's integrations, deleted ones included; foreign ids reach nothing.
    """
    present = [one for one in own if one.deleted_at is None]
    chosen = [SubscriptionSelector(integration_id=one, tag=None) for one in integration_ids]
    chosen += [SubscriptionSelector(integration_id=None, tag=one.lower()) for one in tags]
    meant = [(selector, matching(selector, present)) for selector in chosen]
    usable = sorted((o for _, found in meant for o in found if is_usable(o)), key=lambda o: o.id)
    first = {one.url_fingerprint: one for one in reversed(usable)}
    silent = [_short_name(one, found) for one, found in meant if not any(map(is_usable, found))]
    channels = sorted(first.values(), key=lambda one: one.id)
    return SelectionReach(channels, None if chosen else address, [name for name in silent if name])


def _short_name(selector: SubscriptionSelector, found: list[Integration]) -> str:
    if selector.tag is not None:
        return f"#{selector.tag}"
    return found[0].name if found else ""


NO_CHANNEL = "No channel is chosen; messages go to your email address."
NONE_ACTIVE = "None of the chosen channels is active; messages wait until one is."
_REASONS = {
    Outcome.CHANNEL_INACTIVE: "is switched off",
    Outcome.CHANNEL_GONE: "no longer exists",
}


def check_known(
    wanted: Selection,
    channels: Iterable[Integration],
    chosen: Iterable[SubscriptionSelector] = (),
) -> None:
    """Raise InvalidInput for channels and tags that are neither the user's nor chosen before."""
    present, before = [one for one in channels if one.deleted_at is None], list(chosen)
    ids = {one.id for one in present} | {one.integration_id for one in before}
    tags = {one.tag for one in present} | {one.tag for one in before}
    errors: list[FieldError] = []
    if not ids.issuperset(wanted.integration_ids):
        errors.append(FieldError("integration_ids", "names a channel that is not yours"))
    if not tags.issuperset(wanted.tags):
        errors.append(FieldError("tags", "names a tag that none of your channels has"))
    if errors:
        raise InvalidInput(errors=errors)


def selectors_to_remove(
    wanted: SelectionPatch, chosen: Iterable[SubscriptionSelector]
) -> list[SubscriptionSelector]:
    """Return the selectors a PATCH removes."""
    named = [
        one
        for one in chosen
        if one.integration_id in wanted.integration_ids or one.tag in wanted.tags
    ]
    if wanted.mode == "remove":
        return named
    return [one for one in chosen if one not in named] if wanted.mode == "replace" else []


def warnings(chosen: Sequence[SubscriptionSelector], channels: Sequence[Integration]) -> list[str]:
    """Return a warning for each selector that reaches nothing, and one if none reaches anything."""
    names = {one.id: one.name for one in channels}
    outcomes = [(one, unreached_outcome(one, channels)) for one in chosen]
    unreached = [(one, outcome) for one, outcome in outcomes if outcome]
    told = [f"{_sentence_name(one, names)} {_REASONS[outcome]}." for one, outcome in unreached]
    return [*told, NONE_ACTIVE] if chosen and len(unreached) == len(chosen) else told


def _sentence_name(selector: SubscriptionSelector, names: dict[int, str]) -> str:
    if selector.integration_id is None:
        return f"Every channel with the tag “{selector.tag}”"
    return f"The channel “{names.get(selector.integration_id, '')}”"
