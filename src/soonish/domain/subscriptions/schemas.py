"""Request and response schemas of subscriptions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from soonish.domain.events.schemas import EventOut
from soonish.kit.schemas import MAX_ID, Input, Instant, OneLine, Output, Tag, Text

MAX_SELECTORS = 100  # per request; a subscription may collect more


def _each_once(values: list[int] | list[str]) -> list[int] | list[str]:
    return list(dict.fromkeys(values))  # type: ignore[return-value]


_Id = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]
IntegrationIds = Annotated[list[_Id], Field(max_length=MAX_SELECTORS), AfterValidator(_each_once)]
Tags = Annotated[list[Tag], Field(max_length=MAX_SELECTORS), AfterValidator(_each_once)]
PersonName = Annotated[OneLine, StringConstraints(max_length=200)]
Invitation = Annotated[Text, StringConstraints(max_length=200)]


class Selection(Input):
    """Channels by id, and channel tags (ignoring case)."""

    integration_ids: IntegrationIds = Field(default_factory=list[int])
    tags: Tags = Field(default_factory=list[str])


class SubscribeInput(Selection):
    """With `email` an anonymous subscription; otherwise one's own channels, or service mail without
    any."""

    email: Annotated[Text, StringConstraints(max_length=320)] | None = None
    name: PersonName | None = None
    invitation: Invitation | None = None

    @field_validator("email")
    @classmethod
    def _not_null(cls, value: str | None) -> str:
        if value is None:
            raise ValueError("must not be null; leave it out to subscribe with your own channels")
        return value

    @model_validator(mode="after")
    def _one_form(self) -> SubscribeInput:
        if self.email is not None and self.model_fields_set & {"integration_ids", "tags"}:
            raise ValueError("email cannot be combined with integration_ids or tags")
        if self.name and self.email is None:
            raise ValueError("name belongs to the form with email")
        return self


class SelectionPatch(Selection):
    mode: Literal["add", "remove", "replace"] = "add"


class Accepted(Output):
    """The answer to an anonymous request, the same whether or not it changed anything."""

    status: Literal["accepted"] = "accepted"


class SelectorOut(Output):
    """One way to be reached; exactly one of `integration_id` and `tag` is set."""

    id: int
    integration_id: int | None
    tag: str | None


class SubscriptionOut(Output):
    """`warnings` are sentences for people; `status`: active or pending_approval."""

    subscription_id: int
    status: str
    selectors: list[SelectorOut]
    warnings: list[str]


class OwnSubscription(Output):
    """One of the user's own subscriptions, with its event."""

    subscription_id: int
    status: str
    selectors: list[SelectorOut]
    created_at: Instant
    event: EventOut


class SubscriberOut(Output):
    """A subscriber as the event's organizers see them; `channels` are kinds, such as mail, json."""

    id: int
    name: str | None
    address: str | None
    status: str
    channels: list[str]
    created_at: Instant


class TokenInput(Input):
    token: Annotated[Text, StringConstraints(min_length=1, max_length=1000)]


class Confirmed(Output):
    """`pending_approval` if an organizer has to approve it."""

    status: Literal["active", "pending_approval"] = "active"


class Unsubscribed(Output):
    status: Literal["unsubscribed"] = "unsubscribed"
