"""What a chosen set of channels and tags means: whose they are, what to warn about. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from soonish.delivery.outcome import Outcome
from soonish.errors import FieldError, InvalidInput
from soonish.integrations.models import Integration
from soonish.subscriptions.models import SubscriptionSelector
from soonish.subscriptions.routing import unreached_outcome
from soonish.subscriptions.schemas import Selection, SelectionPatch

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


def dropped(
    wanted: SelectionPatch, chosen: Iterable[SubscriptionSelector]
) -> list[SubscriptionSelector]:
    """The selectors that a PATCH takes away."""
    named = [
        one
        for one in chosen
        if one.integration_id in wanted.integration_ids or one.tag in wanted.tags
    ]
    if wanted.mode == "remove":
        return named
    return [one for one in chosen if one not in named] if wanted.mode == "replace" else []


def warnings(chosen: Sequence[SubscriptionSelector], channels: Sequence[Integration]) -> list[str]:
    """A sentence for each selector that reaches nothing, and one if none reaches anything."""
    names = {one.id: one.name for one in channels}
    outcomes = [(one, unreached_outcome(one, channels)) for one in chosen]
    unreached = [(one, outcome) for one, outcome in outcomes if outcome]
    told = [f"{_name(one, names)} {_REASONS[outcome]}." for one, outcome in unreached]
    return [*told, NONE_ACTIVE] if chosen and len(unreached) == len(chosen) else told


def _name(selector: SubscriptionSelector, names: dict[int, str]) -> str:
    if selector.integration_id is None:
        return f"Every channel with the tag “{selector.tag}”"
    return f"The channel “{names.get(selector.integration_id, '')}”"
