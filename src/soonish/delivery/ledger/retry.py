"""When a failed try is made again (docs/architecture.md#ledger)."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from soonish.delivery.transports.http.retry_after import asked_to_wait
from soonish.delivery.transports.outcome import Outcome, SendResult

MAX_ATTEMPTS = 3
DELAYS_SECONDS = (10.0, 120.0)
JITTER = 0.2


def next_attempt_at(
    attempts: int, result: SendResult, now: datetime, *, seed: int
) -> datetime | None:
    """The instant of the next try after `attempts` counted ones and this one; None: no more.

    What the other side asks for with Retry-After is waited for, up to 15 minutes.
    """
    if not result.retryable:
        return None
    if result.retry_after is not None and is_asked_to_wait(result):
        return now + asked_to_wait(result.retry_after)
    if attempts + 1 >= MAX_ATTEMPTS:
        return None
    spread = random.Random(f"{seed}:{attempts}").uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter, no secret # nosec B311
    return now + timedelta(seconds=DELAYS_SECONDS[attempts] * spread)


def is_asked_to_wait(result: SendResult) -> bool:
    """Waited for without counting a try: a Retry-After of a 429 or 503, or our own mail server.

    The sender sets `retry_after` for these alone. While the mail server cannot be used no mail
    is at fault, and three tries would be over in minutes.
    """
    asked = result.outcome in (Outcome.RATE_LIMITED, Outcome.CONNECTION)
    return asked and result.retryable and result.retry_after is not None
