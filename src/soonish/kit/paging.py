"""Read cursors of lists strictly: any that encode_cursor did not make is InvalidInput."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from soonish.errors import InvalidInput
from soonish.kit.schemas import MAX_ID, decode_cursor


def id_cursor(cursor: str | None) -> int | None:
    """Return the id of the previous page's last row, from `encode_cursor(id)`, or None."""
    return None if cursor is None else _row_id(decode_cursor(cursor, 1)[0])


def instant_id_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    """Return instant and id of the previous page's last row, from `encode_cursor(instant, id)`."""
    if cursor is None:
        return None
    instant, row_id = decode_cursor(cursor, 2)
    return _instant(instant), _row_id(row_id)


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
