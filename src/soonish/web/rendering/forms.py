"""Posted forms: typed values are kept, and every error is shown at its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from soonish.errors import InvalidInput, SoonishError
from soonish.i18n import _
from soonish.web.errors import field_errors

Model = TypeVar("Model", bound=BaseModel)
_DIGITS = re.compile(r"[0-9]{1,18}")  # fits a database column


class Form:
    """The values of a form (`value`, `values`) and its errors by field (`error`)."""

    def __init__(self, values: Mapping[str, list[str]] | None = None) -> None:
        self._values = dict(values or {})
        self.errors: dict[str, str] = {}

    @classmethod
    def filled(cls, **values: Any) -> Form:
        """Return a form with initial values, before it is sent."""
        return cls({name: [str(v)] for name, v in values.items() if v is not None})

    def value(self, name: str, default: str = "") -> str:
        return (self._values.get(name) or [default])[0].strip()

    def secret(self, name: str) -> str:
        """Return a password exactly as typed."""
        return (self._values.get(name) or [""])[0]

    def values(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def numbers(self, name: str) -> list[int]:
        """Return the field's values that are whole numbers in digits, skipping others."""
        return [int(one) for one in self.values(name) if _DIGITS.fullmatch(one)]

    def names(self) -> set[str]:
        return set(self._values)

    def fill(self, **values: Any) -> None:
        """Set fields that were not posted."""
        for name, value in values.items():
            if value is not None:
                self._values.setdefault(name, [str(value)])

    def put(self, name: str, value: str) -> None:
        """Set a field, replacing any value."""
        self._values[name] = [value]

    def optional(self, name: str) -> str | None:
        return self.value(name) or None

    def error(self, name: str) -> str:
        """Return the error of a field or of an entry in it (`tags.0`); empty if it is valid."""
        nested = (m for field, m in self.errors.items() if field.startswith(f"{name}."))
        return self.errors.get(name) or next(nested, "")

    def failed(self, error: SoonishError) -> Form:
        """Return the form with its errors; those of no field are under `body`."""
        if isinstance(error, InvalidInput):
            for entry in error.errors:
                self.errors.setdefault(entry.field, entry.message)
        else:
            self.errors["body"] = error.detail
        return self

    def instant(self, name: str, timezone: str) -> datetime | None:
        """Return a `datetime-local` field in `timezone` as an instant in UTC; None if empty.

        Raise InvalidInput naming the field.
        """
        text = self.value(name)
        if not text:
            return None
        try:
            local = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidInput(name, "Choose a date and a time.") from None
        if local.tzinfo is None:
            local = local.replace(tzinfo=zone(timezone))
        try:
            return local.astimezone(UTC)
        except OverflowError:
            raise InvalidInput(name, "Choose a date and a time.") from None


def zone(name: str) -> ZoneInfo:
    """Return the IANA zone of that name. Raise InvalidInput on `timezone`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput("timezone", "Choose a timezone from the list.") from None


async def read_form(request: Request) -> Form:
    """Return the posted form; file fields are ignored."""
    data = await request.form()
    values: dict[str, list[str]] = {}
    for name, value in data.multi_items():
        if isinstance(value, str):
            values.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return Form(values)


def parse(schema: type[Model], values: Mapping[str, Any]) -> Model:
    """Validate `values` with the API's schema. Raise InvalidInput listing every wrong field."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        entries = [_in_plain_words(entry) for entry in error.errors()]
        raise InvalidInput(errors=field_errors(entries)) from None


def _in_plain_words(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rephrase errors for people who fill in a form; lists and numbers keep their wording."""
    message = _plain_message(entry)
    return {**entry, "type": "said", "msg": message} if message else entry


def _plain_message(entry: Mapping[str, Any]) -> str:
    kind, limits = entry["type"], entry.get("ctx", {})
    if not isinstance(entry.get("input"), str) and kind != "missing":
        return ""
    match kind:
        case "missing":
            return _("Please fill this in.")
        case "string_too_short" | "too_short" if limits["min_length"] == 1 or not entry["input"]:
            return _("Please fill this in.")
        case "string_too_long" | "too_long":
            return _("At most %(count)s characters, please.", count=limits["max_length"])
        case _other:
            return ""
