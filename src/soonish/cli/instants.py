"""Instants on the command line: ISO 8601 with an offset, or a distance such as `+2h`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DISTANCE = re.compile(r"\+(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
HELP = "ISO 8601 with an offset (2026-12-24T18:00:00+01:00), or a distance from now (+2h, +3d)."


def parse_instant(text: str, field: str, now: datetime) -> datetime:
    """Return the instant in UTC. Raise InvalidInput on `field`."""
    from soonish.errors import InvalidInput

    if match := _DISTANCE.fullmatch(text):
        return now + timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(field, f"is not understood. {HELP}") from None
    if instant.tzinfo is None:
        raise InvalidInput(field, f"has no offset. {HELP}")
    return instant.astimezone(UTC)
