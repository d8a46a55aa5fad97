"""When a failed try is made again (DESIGN 8)."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from soonish.delivery.outcome import SendResult

MAX_ATTEMPTS = 3
DELAYS_SECONDS = (10.0, 120.0)
JITTER = 0.2
MAX_RETRY_AFTER_SECONDS = 900.0


def next_attempt_at(
    attempts: int, result: SendResult, now: datetime, *, seed: int
) -> datetime | None:
    """The instant of the next try after `attempts` counted ones and this one; None: no more.

    What the other side asks for with Retry-After is waited for, up to 15 minutes.
    """
    if not result.retryable:
        return None
    if result.retry_after is not None:
        return now + timedelta(seconds=min(max(result.retry_after, 1.0), MAX_RETRY_AFTER_SECONDS))
    if attempts + 1 >= MAX_ATTEMPTS:
        return None
    spread = random.Random(f"{seed}:{attempts}").uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
    return now + timedelta(seconds=DELAYS_SECONDS[attempts] * spread)
