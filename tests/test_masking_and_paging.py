"""Masked addresses, and cursors that cannot be forged into an error."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from soonish.errors import InvalidInput
from soonish.kit.masking import mask_address
from soonish.kit.paging import encode_cursor, id_cursor, instant_id_cursor, page


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("anna@example.com", "a***@e***.com"),
        ("a@b.co", "a***@b***.co"),
        ("anna@mail.example.org", "a***@m***.org"),
        ("anna@localhost", "a***@l***"),
        ("no address", "n***"),
        (None, None),
        ("", None),
    ],
)
def test_mask_address(address: str | None, masked: str | None) -> None:
    assert mask_address(address) == masked


def test_a_cursor_is_read_as_it_was_made() -> None:
    instant = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    assert instant_id_cursor(encode_cursor(instant, 7)) == (instant, 7)
    assert id_cursor(encode_cursor(7)) == 7
    assert (id_cursor(None), instant_id_cursor(None)) == (None, None)


def test_a_page_names_the_last_of_its_rows_where_there_are_more() -> None:
    assert page([9, 8], 2, lambda row: row) == ([9, 8], None)
    assert page([], 2, lambda row: row) == ([], None)
    rows, cursor = page([9, 8, 7], 2, lambda row: row)
    assert (rows, id_cursor(cursor)) == ([9, 8], 8)


def test_a_page_by_instants_names_both() -> None:
    instant = datetime(2030, 1, 2, tzinfo=UTC)
    _, cursor = page([1, 2], 1, lambda row: (instant, row))
    assert instant_id_cursor(cursor) == (instant, 1)


def packed(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


OTHER_VALUES = ([1, 2], ["1"], [True], [-1], [2**63], [1.5], [None], [], {})


@pytest.mark.parametrize("cursor", ["", "!", "ü", "a", *map(packed, OTHER_VALUES)])
def test_other_id_cursors_are_invalid_input(cursor: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        id_cursor(cursor)
    assert caught.value.errors[0].field == "cursor"


@pytest.mark.parametrize(
    "value",
    [
        [1, 1],
        ["soon", 1],
        ["2030-01-01T00:00:00", 1],
        ["0001-01-01T00:00:00+14:00", 1],
        ["9999-12-31T23:59:59-14:00", 1],
        ["2030-01-01T00:00:00Z", "1"],
        [None, None],
    ],
)
def test_other_instant_cursors_are_invalid_input(value: list[Any]) -> None:
    with pytest.raises(InvalidInput):
        instant_id_cursor(packed(value))
