"""Request and response schemas of a user's channels; never an Apprise URL."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StringConstraints

from soonish.delivery.channels.circuit import is_open
from soonish.delivery.transports.outcome import SendResult
from soonish.infra.db.models.integrations import Integration
from soonish.kit.schemas import Input, Instant, OneLine, Output, Tag

IntegrationName = Annotated[OneLine, StringConstraints(min_length=1, max_length=200)]
AppriseUrl = Annotated[
    OneLine,  # delivery/urls.py validates the rest, with its own error code
    Field(description="Where Apprise sends to; never told again"),
]


class IntegrationCreate(Input):
    """A new channel. With `verify` it becomes active if a test message succeeds."""

    name: IntegrationName
    apprise_url: AppriseUrl
    tag: Tag
    verify: StrictBool = True


class IntegrationPatch(Input):
    """Only the fields that are sent change (`model_fields_set`); null is not allowed."""

    name: IntegrationName = ""
    apprise_url: AppriseUrl = ""
    tag: Tag = ""
    is_active: StrictBool = True


class Verification(Output):
    """The result of a test message: `outcome` as in the ledger, `detail` for people."""

    ok: bool
    outcome: str
    detail: str

    @classmethod
    def of(cls, result: SendResult) -> Verification:
        return cls(ok=result.ok, outcome=result.outcome.value, detail=result.detail)


class IntegrationOut(Output):
    """A channel as its owner sees it; `target` is masked. With an open `circuit` deliveries wait.

    `last_failure` is why the last message failed, null after a success.
    """

    id: int
    name: str
    kind: str
    target: str
    tag: str
    is_active: bool
    circuit: Literal["closed", "open"]
    failing_since: Instant | None
    last_failure: str | None
    last_delivery_at: Instant | None
    created_at: Instant

    @classmethod
    def of(cls, integration: Integration, now: datetime) -> IntegrationOut:
        return cls(**_fields(integration, now))


class IntegrationCreated(IntegrationOut):
    """`verification` is null if no test was requested."""

    verification: Verification | None = None

    @classmethod
    def after(
        cls, integration: Integration, now: datetime, result: SendResult | None
    ) -> IntegrationCreated:
        verification = Verification.of(result) if result else None
        return cls(**_fields(integration, now), verification=verification)


def _fields(integration: Integration, now: datetime) -> dict[str, Any]:
    return {
        "id": integration.id,
        "name": integration.name,
        "kind": integration.kind,
        "target": integration.target,
        "tag": integration.tag,
        "is_active": integration.is_active,
        "circuit": "open" if is_open(integration.open_until, now) else "closed",
        "failing_since": integration.failing_since,
        "last_failure": integration.last_failure,
        "last_delivery_at": integration.last_delivery_at,
        "created_at": integration.created_at,
    }
