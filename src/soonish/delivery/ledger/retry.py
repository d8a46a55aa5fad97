"""The schedule of retries (docs/architecture.md#ledger)."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from soonish.delivery.transports.http.retry_after import bounded_wait
from soonish.delivery.transports.outcome import Outcome, SendResult

MAX_ATTEMPTS = 3
DELAYS_SECONDS = (10.0, 120.0)
JITTER = 0.2


def next_attempt_at(
    attempts: int, result: SendResult, now: datetime, *, seed: int
) -> datetime | None:
    """Return the instant of the next try after `attempts` earlier ones and this one, or None.

    A Retry-After is honoured, up to 15 minutes.
    """
    if not result.retryable:
        return None
    if result.retry_after is not None and is_deferred(result):
        return now + bounded_wait(result.retry_after)
    if attempts + 1 >= MAX_ATTEMPTS:
        return None
    spread = random.Random(f"{seed}:{attempts}").uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter, no secret # nosec B311
    return now + timedelta(seconds=DELAYS_SECONDS[attempts] * spread)


def is_deferred(result: SendResult) -> bool:
    """Return True for results that do not count as a try: a Retry-After, or our mail server down.

    The sender sets `retry_after` for these alone (a 429, a 503 or an unusable mail server). While
    the mail server is down no mail is at fault, and three tries would be over in minutes.
    """
    asked = result.outcome in (Outcome.RATE_LIMITED, Outcome.CONNECTION)
    return asked and result.retryable and result.retry_after is not None
