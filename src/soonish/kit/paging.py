"""Keyset paging: cursors, read strictly, and the split of fetched rows into a page."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from soonish.errors import InvalidInput
from soonish.kit.schemas import MAX_ID, as_z

Row = TypeVar("Row")


def page(
    rows: Sequence[Row], limit: int, key: Callable[[Row], int | tuple[datetime, int]]
) -> tuple[list[Row], str | None]:
    """Return the first `limit` of `limit + 1` fetched rows, and the cursor of the next page.

    `key` returns what the rows are sorted by: an id, or an instant and an id. The cursor is None on
    the last page.
    """
    if len(rows) <= limit:
        return list(rows), None
    last = key(rows[limit - 1])
    return list(rows[:limit]), encode_cursor(*(last if isinstance(last, tuple) else (last,)))


def encode_cursor(*values: Any) -> str:
    """Pack the sort key of a page's last row (numbers, texts, datetimes)."""
    plain = [as_z(v) if isinstance(v, datetime) else v for v in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def id_cursor(cursor: str | None) -> int | None:
    """Return the id of the previous page's last row; None without a cursor. Raise InvalidInput."""
    return None if cursor is None else _row_id(_decode(cursor, 1)[0])


def instant_id_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    """Return instant and id of the previous page's last row. Raise InvalidInput."""
    if cursor is None:
        return None
    instant, row_id = _decode(cursor, 2)
    return _instant(instant), _row_id(row_id)


def _decode(cursor: str, size: int) -> list[Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, binascii.Error, UnicodeDecodeError):
        values = None
    if not isinstance(values, list) or len(values) != size:
        raise _invalid_cursor()
    return values


def _row_id(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_ID:
        raise _invalid_cursor()
    return value


def _instant(value: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise ValueError
        return instant.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise _invalid_cursor() from None


def _invalid_cursor() -> InvalidInput:
    return InvalidInput("cursor", "is not one of ours; use next_cursor of the page before")
