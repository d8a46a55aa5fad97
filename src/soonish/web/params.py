"""Path and query parameters shared by the whole API. Workers do without FastAPI."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BeforeValidator

from soonish.kit.schemas import MAX_ID

MAX_PAGE = 200


def _only_digits(value: Any) -> Any:
    # Pydantic would read "1.0", "+1" and "1 " as 1, giving one resource many addresses.
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("must be a number in digits")
    return value


RowId = Annotated[int, Path(ge=1, le=MAX_ID), BeforeValidator(_only_digits)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many items at most")]
CursorText = Annotated[str | None, Query(max_length=500, description="next_cursor of a page")]
