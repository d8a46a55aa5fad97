"""The outcome of one attempt to deliver one message to one target."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Outcomes, as stable values in the ledger, the API and the pages.

    See docs/api.md#fixed-values.
    """

    OK = "ok"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    REJECTED = "rejected"
    RATE_LIMITED = "rate_limited"
    INVALID_TARGET = "invalid_target"
    BLOCKED_TARGET = "blocked_target"
    CHANNEL_INACTIVE = "channel_inactive"
    CHANNEL_GONE = "channel_gone"
    UNSUBSCRIBED = "unsubscribed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SendResult:
    """The result of one attempt: its outcome, and a redacted `detail` for people.

    `status` is the HTTP or SMTP reply code if there was one, `retry_after` the seconds that the
    service asked to wait, `retryable` whether another attempt may succeed.
    """

    outcome: Outcome
    detail: str = ""
    status: int | None = None
    retry_after: float | None = None
    retryable: bool = False

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK
