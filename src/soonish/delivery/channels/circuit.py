"""The circuit breaker of a channel, as pure functions; `health` stores its state.

See docs/architecture.md#channel-health.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from soonish.delivery.transports.http.retry_after import bounded_wait
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.kit.rates import Rate

OPENS_AFTER = 5  # failures in a row
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
PROBE = timedelta(seconds=30)  # without a result by then the probe's worker has died
OFF_AFTER = timedelta(days=5)
LONGEST_REASON = 200
REFUSALS = frozenset((401, 403, 404, 410))


class Effect(Enum):
    """The effect of a send's result on its channel, rather than on its message."""

    WORKS = "works"
    FAILS = "fails"
    REFUSES = "refuses"
    WAITS = "waits"
    NOTHING = "nothing"


@dataclass(frozen=True)
class ChannelHealth:
    """The health of one channel, as its rows store it."""

    not_before: datetime | None = None
    fail_streak: int = 0
    failing_since: datetime | None = None
    open_until: datetime | None = None
    last_failure: str | None = None


@dataclass(frozen=True)
class Permit:
    """Permission to send a message now, or `until` when to ask again.

    `probe`: the only message allowed; its result decides whether the circuit closes.
    """

    granted: bool
    probe: bool = False
    until: datetime | None = None


def effect_of(result: SendResult) -> Effect:
    """Return the effect of a result on its channel.

    Transient failures and 401, 403, 404, 410 count against the channel; other refusals do not.
    """
    if result.ok:
        return Effect.WORKS
    if result.outcome is Outcome.RATE_LIMITED:
        return Effect.WAITS if result.retry_after is not None else Effect.NOTHING
    if result.retryable:
        return Effect.FAILS
    if result.outcome is Outcome.REJECTED and result.status in REFUSALS:
        return Effect.REFUSES
    return Effect.NOTHING


def acquire(
    health: ChannelHealth, rate: Rate | None, now: datetime
) -> tuple[ChannelHealth, Permit]:
    """Ask to send one message; return the channel's health with that message in flight."""
    until = max((t for t in (health.open_until, health.not_before) if t), default=now)
    if until > now:
        return health, Permit(granted=False, until=until)
    probe = health.open_until is not None
    if probe:
        health = replace(health, open_until=now + PROBE)
    if rate is not None:
        health = replace(health, not_before=rate.after_send(health.not_before, now))
    return health, Permit(granted=True, probe=probe)


def after(
    health: ChannelHealth, result: SendResult, now: datetime, *, probe: bool
) -> ChannelHealth:
    """Return the health after this result.

    While the circuit is open only its probe's failure counts: other sends began before it opened.
    """
    effect = effect_of(result)
    if effect is Effect.WORKS:
        return replace(
            health, fail_streak=0, failing_since=None, open_until=None, last_failure=None
        )
    if effect is Effect.WAITS and result.retry_after is not None:
        return _held_back(health, now + bounded_wait(result.retry_after), probe=probe)
    if effect not in (Effect.FAILS, Effect.REFUSES):
        return health
    if health.open_until is None or probe:
        streak = health.fail_streak + 1
        why = reason_of(result)
        open_until = _open_until(streak, now)
        health = replace(health, fail_streak=streak, open_until=open_until, last_failure=why)
    if effect is Effect.REFUSES or health.fail_streak >= _LONG_STREAK:
        health = replace(health, failing_since=health.failing_since or now)
    return health


def reason_of(result: SendResult) -> str | None:
    """Return the reason of a failure, shortened to the size of its column."""
    return result.detail[:LONGEST_REASON] or None


def _held_back(health: ChannelHealth, until: datetime, *, probe: bool) -> ChannelHealth:
    """Wait as the service asked. A probe that was told to wait proves nothing: probe again then."""
    until = max(until, health.not_before or until)
    return replace(health, not_before=until, open_until=until if probe else health.open_until)


def _open_until(streak: int, now: datetime) -> datetime | None:
    return now + pause_after(streak) if streak >= OPENS_AFTER else None


def pause_after(streak: int) -> timedelta:
    """Return how long the circuit stays open after `streak` failures in a row."""
    doublings = min(streak - OPENS_AFTER, _LONG_STREAK - OPENS_AFTER)
    return min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)


# The pause is longest from here on: an hour without a success is no transient failure.
_LONG_STREAK = OPENS_AFTER + 7


def is_open(open_until: datetime | None, now: datetime) -> bool:
    """Return True while the circuit is open, so that nothing is sent."""
    return open_until is not None and open_until > now


def is_over(health: ChannelHealth, now: datetime) -> bool:
    """Return True if the channel has failed for long enough to be switched off."""
    return health.failing_since is not None and health.failing_since <= now - OFF_AFTER
