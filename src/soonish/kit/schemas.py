"""Shared types of the API's requests and responses: strict input, UTC instants, paged lists."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Generic, TypeVar
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
)

from soonish.i18n import _

T = TypeVar("T")
MAX_ID = 2**63 - 1
TAG_LENGTH = 64


def _no_nul(value: Any) -> Any:
    if isinstance(value, str) and "\0" in value:
        raise ValueError("must not contain the character NUL")
    return value


def _instant_is_text(value: Any) -> Any:
    # Pydantic would read a bare number as seconds since 1970.
    if not isinstance(value, datetime) and not (isinstance(value, str) and ":" in value):
        raise ValueError("must be an ISO 8601 time with its offset, such as 2026-12-24T18:00:00Z")
    return value


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is not within the years 1 to 9999 in UTC") from None


def one_line_only(value: str) -> str:
    """Refuse line breaks and other control characters, as titles end up in mail headers."""
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in value):
        raise ValueError(_("must be one line without control characters"))
    return value


def _tag(value: str) -> str:
    tag = value.lower()
    if "," in tag:
        raise ValueError(_("must not contain a comma"))
    if len(tag) > TAG_LENGTH:
        raise ValueError(_("must have at most %(count)s characters", count=TAG_LENGTH))
    return tag


@cache
def known_timezones() -> frozenset[str]:
    """Return IANA's zone names, without those that mean a machine's own zone."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


def as_z(value: datetime) -> str:
    """Format an instant as ISO 8601 in UTC with `Z`, as in every response."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_instant_is_text),
    AfterValidator(_to_utc),
    PlainSerializer(as_z, return_type=str, when_used="json"),
]
Text = Annotated[str, AfterValidator(_no_nul)]
OneLine = Annotated[Text, AfterValidator(one_line_only)]
Tag = Annotated[OneLine, StringConstraints(min_length=1), AfterValidator(_tag)]


class Input(BaseModel):
    """A request body, which refuses unknown fields and strips surrounding space."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Output(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[T]):
    """One page of a list; `cursor=next_cursor` requests the next one."""

    items: list[T]
    next_cursor: str | None = None
