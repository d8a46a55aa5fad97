"""Request and response schemas of organizers, ownership and invitations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from soonish.infra.db.models.accounts import User
from soonish.kit.schemas import Input, Instant, Output, Text

MAX_INVITED = 100  # addresses per request
MAX_USES = 1_000_000

Address = Annotated[Text, StringConstraints(min_length=1, max_length=320)]


class OrganizerInput(Input):
    email: Address
    role: Literal["co_organizer"] = "co_organizer"


class TransferInput(Input):
    email: Address


@dataclass(frozen=True)
class Organizer:
    """An organizer of an event with their role, `owner` or `co_organizer`; the owner's `row_id` is
    0."""

    user: User
    role: str
    since: datetime
    row_id: int = 0


class OrganizerOut(Output):
    """`role`: owner or co_organizer. `name` is null until the address has an account."""

    user_id: int
    name: str | None
    address: str | None
    role: str
    created_at: Instant

    @classmethod
    def of(cls, one: Organizer) -> OrganizerOut:
        return cls(
            user_id=one.user.id,
            name=one.user.name,
            address=one.user.email,
            role=one.role,
            created_at=one.since,
        )


class InvitationInput(Input):
    """With `emails`, one mailed invitation each, for one use unless `max_uses` is set; without, a
    link."""

    emails: Annotated[list[Address], Field(min_length=1, max_length=MAX_INVITED)] | None = None
    max_uses: Annotated[int, Field(strict=True, ge=1, le=MAX_USES)] | None = None
    expires_at: Instant | None = None
    needs_approval: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _uses(self) -> InvitationInput:
        if self.emails and self.max_uses is None:
            self.max_uses = 1
        return self


class InvitationOut(Output):
    """`status`: active, used_up, expired or revoked. `address`: the recipient of a mailed
    invitation."""

    id: int
    address: str | None
    status: str
    needs_approval: bool
    max_uses: int | None
    uses: int
    expires_at: Instant | None
    revoked_at: Instant | None
    created_at: Instant


class InvitationLink(InvitationOut):
    """A new link; its `url` is only shown once."""

    url: str


class Invited(Output):
    """The mailed invitations, in the order of the addresses."""

    items: list[InvitationOut]
