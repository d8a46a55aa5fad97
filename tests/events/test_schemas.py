"""What a request may say about an event, before any rule is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from soonish.domain.events.schemas import EventCreate, EventPatch, as_text

GOOD: dict[str, Any] = {"name": "Party", "start_date": "2030-06-01T18:00:00+02:00"}


def fields_refused(model: type[EventCreate | EventPatch], **fields: Any) -> set[str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields)
    return {str(error["loc"][0]) for error in caught.value.errors()}


def test_the_least_that_makes_an_event() -> None:
    made = EventCreate.model_validate(GOOD)
    assert made.start_date == datetime(2030, 6, 1, 16, tzinfo=UTC)
    assert (made.timezone, made.is_public, made.tags, made.end_date) == ("UTC", True, [], None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "   "),
        ("name", "x" * 201),
        ("name", "two\nlines"),
        ("name", "header\rinjection"),
        ("name", "nul\0"),
        ("name", "line\u2028separator"),
        ("name", None),
        ("name", 7),
        ("start_date", None),
        ("start_date", "soon"),
        ("start_date", "2030-06-01"),
        ("start_date", "2030-06-01T18:00:00"),
        ("start_date", "1900000000"),
        ("start_date", 1_900_000_000),
        ("start_date", True),
        ("start_date", "9999-12-31T23:59:59-12:00"),
        ("start_date", "0001-01-01T00:00:00+14:00"),
        ("start_date", "2201-01-01T00:00:00Z"),
        ("end_date", "2030-06-01T18:00"),
        ("end_date", ""),
        ("description", "x" * 20_001),
        ("description", "nul\0"),
        ("description", ["x"]),
        ("location", "x" * 501),
        ("contact", "x" * 321),
        ("category", "x" * 65),
        ("tags", "music"),
        ("tags", None),
        ("tags", [""]),
        ("tags", [7]),
        ("tags", ["a,b"]),
        ("tags", ["x" * 65]),
        ("tags", ["İ" * 40]),  # lowercased it has 80 characters
        ("tags", [f"tag{n}" for n in range(21)]),
        ("timezone", "Mars/Olympus"),
        ("timezone", ""),
        ("timezone", "localtime"),
        ("timezone", "Factory"),
        ("timezone", None),
        ("timezone", "../../etc/passwd"),
        ("is_public", "yes"),
        ("is_public", 1),
        ("is_public", None),
        ("owner_user_id", 1),
        ("slug", "mine"),
    ],
)
def test_what_is_refused_names_its_field(field: str, value: Any) -> None:
    assert fields_refused(EventCreate, **{**GOOD, field: value}) == {field}
    assert fields_refused(EventPatch, **{field: value}) == {field}


def test_empty_optional_texts_are_none_and_tags_are_tidied() -> None:
    empty = {"description": " ", "location": "", "contact": "", "category": ""}
    made = EventCreate.model_validate({**GOOD, **empty, "tags": [" Music", "music", "Art"]})
    assert (made.description, made.location, made.contact, made.category) == (None,) * 4
    assert made.tags == ["art", "music"]


def test_a_patch_holds_only_what_was_sent() -> None:
    assert EventPatch.model_validate({}).sent() == {}
    sent = EventPatch.model_validate({"end_date": None, "location": ""}).sent()
    assert sent == {"end_date": None, "location": None}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ([], None),
        (True, "true"),
        (False, "false"),
        (["a", "b"], "a, b"),
        ("Berlin", "Berlin"),
        (datetime(2030, 6, 1, 16, tzinfo=UTC), "2030-06-01T16:00:00Z"),
    ],
)
def test_values_as_the_update_log_keeps_them(value: Any, text: str | None) -> None:
    assert as_text(value) == text
