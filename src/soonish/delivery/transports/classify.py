"""Classify an attempt's outcome by error type and status, never by text.

See docs/architecture.md#ledger.
"""

from __future__ import annotations

import re

from soonish.delivery.transports.attempt import Attempt
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.i18n import LazyText, _

_STATUS = re.compile(r"\b[1-9][0-9]{2}\b")
_FAULTS = {
    "timeout": (Outcome.TIMEOUT, _("No answer in time")),
    "connection": (Outcome.CONNECTION, _("The connection failed")),
    "certificate": (Outcome.CONNECTION, _("The certificate is not valid for this host")),
    "resolve": (Outcome.CONNECTION, _("The host's name does not resolve")),
}
BLOCKED = SendResult(Outcome.BLOCKED_TARGET, _("The address is not open to deliveries"))
INVALID = SendResult(Outcome.INVALID_TARGET, _("The channel's URL cannot be used"))
NOT_SENT = SendResult(Outcome.UNKNOWN, _("The service was not asked to send anything"))
TIMED_OUT = SendResult(Outcome.TIMEOUT, _("No answer in time"), retryable=True)
# Returned, as this very object, for a send that did not start: too late, or shutting down.
NOT_STARTED = SendResult(Outcome.UNKNOWN, _("Not started in time"), retryable=True)
DELIVERED = SendResult(Outcome.OK)


def classify(attempt: Attempt, accepted: bool, wait: float | None = None) -> SendResult:
    """Return the outcome of one attempt.

    `accepted` is the plugin's return value, `wait` the seconds it wanted to sleep.
    """
    if attempt.fault == "blocked":
        return BLOCKED
    if accepted:
        return DELIVERED if attempt.contacted else NOT_SENT
    if attempt.expired:
        return TIMED_OUT
    if wait is not None:
        return rate_limited(429, wait)
    if attempt.fault in _FAULTS:
        outcome, detail = _FAULTS[attempt.fault]
        return SendResult(outcome, detail, retryable=True)
    status = decisive_status(attempt.statuses)
    if attempt.is_smtp and status is not None:
        return by_reply(status)
    return by_status(status, attempt.retry_after)


def decisive_status(statuses: list[int]) -> int | None:
    """Return the last status of 400 and above, else the last of all."""
    failures = [s for s in statuses if s >= 400]
    found = failures or statuses
    return found[-1] if found else None


def by_status(status: int | None, retry_after: float | None) -> SendResult:
    """Return the outcome of a failure with this HTTP status."""
    if status is None:
        return SendResult(Outcome.REJECTED, _("The service does not take this message"))
    if status == 429 or (status == 503 and retry_after is not None):
        return rate_limited(status, retry_after)
    if status < 300:
        detail = _("The service answered %(status)s but refused the message", status=status)
        return SendResult(Outcome.REJECTED, detail, status)
    if status < 400:
        return SendResult(Outcome.REJECTED, _("Redirects are not followed"), status)
    detail = _("The service answered %(status)s", status=status)
    return SendResult(Outcome.REJECTED, detail, status, retryable=is_transient_status(status))


def translatable(detail: str) -> str:
    """Make a stored detail (ledger, API) translatable, so that a page can show it translated."""
    found = _STATUS.search(detail)
    if found is None or isinstance(detail, LazyText):
        return detail
    return _(detail.replace(found[0], "%(status)s"), status=found[0])


def is_transient_status(status: int) -> bool:
    """Return True for HTTP statuses that another attempt may not get again."""
    return status in (408, 425, 429) or 500 <= status <= 599


def rate_limited(status: int, retry_after: float | None) -> SendResult:
    return SendResult(
        Outcome.RATE_LIMITED, _("The service asks to wait"), status, retry_after, retryable=True
    )


def by_reply(code: int) -> SendResult:
    """Return the outcome of an SMTP refusal: 4yz is transient, 5yz is not (RFC 5321, 4.2.1)."""
    detail = _("The mail server answered %(status)s", status=code)
    return SendResult(Outcome.REJECTED, detail, code, retryable=code < 500)
