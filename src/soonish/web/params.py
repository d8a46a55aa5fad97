"""Path and query parameters shared by the whole API. Workers do without FastAPI."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BeforeValidator

from soonish.domain.admin.queries import Health
from soonish.kit.schemas import MAX_ID, Text

MAX_PAGE = 200


def _only_digits(value: Any) -> Any:
    # Pydantic would read "1.0", "+1" and "1 " as 1, giving one resource many addresses.
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("must be a number in digits")
    return value


RowId = Annotated[int, Path(ge=1, le=MAX_ID), BeforeValidator(_only_digits)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many items at most")]
InvitationToken = Annotated[
    Text | None, Query(max_length=200, description="Shows a private event to who is invited")
]
PersonSearch = Annotated[Text, Query(max_length=320)]  # a part of a name, or a whole address
ChannelFilter = Annotated[Text | None, Query(max_length=64, description="mail, or a kind")]
HealthFilter = Annotated[Health | None, Query(description="open: its circuit; off: switched off")]
Days = Annotated[int, Query(ge=1, le=365, description="How far back")]
CursorText = Annotated[str | None, Query(max_length=500, description="next_cursor of a page")]
