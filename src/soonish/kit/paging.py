"""Cursors of lists, read strictly: whatever encode_cursor did not make is InvalidInput."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from soonish.errors import InvalidInput
from soonish.kit.schemas import MAX_ID, decode_cursor


def id_cursor(cursor: str | None) -> int | None:
    """The id of the last row of the page before, from `encode_cursor(id)`; None for no cursor."""
    return None if cursor is None else _row_id(decode_cursor(cursor, 1)[0])


def instant_id_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    """Instant and id of the last row of the page before, from `encode_cursor(instant, id)`."""
    if cursor is None:
        return None
    instant, row_id = decode_cursor(cursor, 2)
    return _instant(instant), _row_id(row_id)


def _row_id(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_ID:
        raise _not_ours()
    return value


def _instant(value: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise ValueError
        return instant.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise _not_ours() from None


def _not_ours() -> InvalidInput:
    return InvalidInput("cursor", "is not one of ours; use next_cursor of the page before")
