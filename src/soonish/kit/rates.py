"""A sending rate, and its spelling in a setting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Rate:
    """One message per `interval` in the long run, and up to `burst` of them at once."""

    interval: timedelta
    burst: int

    def after_send(self, not_before: datetime | None, now: datetime) -> datetime:
        """Return the channel's new `not_before` after a permitted send at `now`."""
        full = now - self.interval * (self.burst - 1)
        return (full if not_before is None else max(not_before, full)) + self.interval


def parse_rate(entry: str) -> tuple[str, Rate | None]:
    """Parse `discord=6/3`: six a minute with a burst of three (default 1); `json=0` is no limit.

    Raises ValueError that names the entry.
    """
    kind, equals, figures = (part.strip() for part in entry.partition("="))
    per_minute, _, burst = figures.partition("/")
    try:
        speed, at_once = float(per_minute), int(burst or 1)
    except ValueError:
        speed, at_once = -1.0, 0
    if not (kind and equals) or not 0 <= speed <= 60_000 or not 1 <= at_once <= 10_000:
        raise ValueError(f"{entry!r} must look like discord=6/3 (messages a minute / burst)")
    if speed == 0:
        return kind.lower(), None
    if speed < 0.01:
        raise ValueError(f"{entry!r} is slower than a message in 100 minutes")
    return kind.lower(), Rate(timedelta(seconds=60 / speed), at_once)
