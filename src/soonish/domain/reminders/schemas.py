"""Request and response schemas of reminders."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from soonish.i18n import _
from soonish.infra.db.models.subscriptions import Subscription
from soonish.kit.schemas import Input, Instant, Output

MAX_OFFSETS = 10
YEAR_SECONDS = 31_536_000


def _each_once(offsets: list[int]) -> list[int]:
    return list(dict.fromkeys(offsets))


Seconds = Annotated[int, Field(strict=True, ge=60, le=YEAR_SECONDS)]
Offsets = Annotated[list[Seconds], Field(max_length=MAX_OFFSETS), AfterValidator(_each_once)]


class Countdown(Input):
    """A reminder every `every_seconds`, from `from_seconds` before the start until it."""

    every_seconds: Annotated[int, Field(strict=True, ge=3600, le=YEAR_SECONDS)]
    from_seconds: Seconds


class Preferences(Input):
    """Seconds before the start and the end; null means the defaults (before the end: none)."""

    offset_seconds: Offsets | None
    end_offset_seconds: Offsets | None = None
    countdown: Countdown | None = None

    @classmethod
    def of(cls, subscription: Subscription) -> Preferences:
        every, first = subscription.countdown_every_seconds, subscription.countdown_from_seconds
        return cls(
            offset_seconds=subscription.reminder_offsets,
            end_offset_seconds=subscription.end_reminder_offsets,
            countdown=Countdown(every_seconds=every, from_seconds=first)
            if every and first
            else None,
        )


class RemindMeInput(Input):
    """Exactly one of the two: seconds from now, or an instant."""

    in_seconds: Seconds | None = None
    at: Instant | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> RemindMeInput:
        if (self.in_seconds is None) == (self.at is None):
            raise ValueError(_("give either in_seconds or at"))
        return self


class RemindMeOut(Output):
    id: int
    at: Instant
