"""Read how long a service asks us to wait."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

_LONGEST = 86_400.0  # seconds; a caller caps further
MAX_RETRY_AFTER_SECONDS = 900.0


def requested_wait(header: Callable[[str], str | None], content: bytes) -> float | None:
    """Return the seconds that a response asks to wait, or None.

    Read from Retry-After (number or HTTP date), Discord's reset header, or a JSON body's
    `retry_after` (Discord, Telegram).
    """
    for value in (header("Retry-After"), header("X-RateLimit-Reset-After")):
        seconds = parse_retry_after(value) if value else None
        if seconds is not None:
            return seconds
    return _from_body(content)


def parse_retry_after(value: str, now: float | None = None) -> float | None:
    """Return the seconds of a Retry-After value (RFC 9110, 10.2.3); None if it is invalid."""
    try:
        return _bounded(float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _bounded(moment.timestamp() - (time.time() if now is None else now))


def _from_body(content: bytes) -> float | None:
    try:
        answer: Any = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    inner = answer.get("parameters")
    value = answer.get("retry_after") or (
        inner.get("retry_after") if isinstance(inner, dict) else 0
    )
    return _bounded(value) if isinstance(value, int | float) and value else None


def _bounded(seconds: float) -> float | None:
    if seconds != seconds:
        return None
    return float(min(max(seconds, 0.0), _LONGEST))  # clamp first: an int may be too large for float


def bounded_wait(retry_after: float) -> timedelta:
    """Return the part of a Retry-After that is honoured: a second to 15 minutes."""
    return timedelta(seconds=min(max(retry_after, 1.0), MAX_RETRY_AFTER_SECONDS))
