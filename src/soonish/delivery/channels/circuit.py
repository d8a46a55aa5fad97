"""How a channel is doing, as pure functions. `channel_health` keeps it in its rows.

See docs/architecture.md#channel-health.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from soonish.delivery.transports.http.retry_after import asked_to_wait
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.kit.rates import Rate

OPENS_AFTER = 5  # failures in a row
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
PROBE = timedelta(seconds=30)  # within it a probe's answer is in the database, or its worker died
OFF_AFTER = timedelta(days=5)
LONGEST_REASON = 200
REFUSALS = frozenset((401, 403, 404, 410))


class Effect(Enum):
    """What an answer says about its channel, rather than about its message."""

    WORKS = "works"
    FAILS = "fails"
    REFUSES = "refuses"
    WAITS = "waits"
    NOTHING = "nothing"


@dataclass(frozen=True)
class ChannelHealth:
    """Of one channel; as its rows have it."""

    not_before: datetime | None = None
    fail_streak: int = 0
    failing_since: datetime | None = None
    open_until: datetime | None = None
    last_failure: str | None = None


@dataclass(frozen=True)
class Permit:
    """Whether a message may be sent now: if not, `until` is when to ask again.

    `probe`: it is the only one, and decides whether the circuit closes.
    """

    granted: bool
    probe: bool = False
    until: datetime | None = None


def effect_of(result: SendResult) -> Effect:
    """Passing failures and 401, 403, 404, 410 count against the channel; other refusals do not."""
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
    """Leave for one message, and the channel's health with that message under way."""
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
    """The health once this answer is known.

    While the circuit is open only its probe's failure counts: the others began before it opened.
    """
    effect = effect_of(result)
    if effect is Effect.WORKS:
        return replace(
            health, fail_streak=0, failing_since=None, open_until=None, last_failure=None
        )
    if effect is Effect.WAITS and result.retry_after is not None:
        return _held_back(health, now + asked_to_wait(result.retry_after), probe=probe)
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
    """Why it did not arrive, as the rows keep it."""
    return result.detail[:LONGEST_REASON] or None


def _held_back(health: ChannelHealth, until: datetime, *, probe: bool) -> ChannelHealth:
    """A probe that is asked to wait proved nothing; the next one comes when it may."""
    until = max(until, health.not_before or until)
    return replace(health, not_before=until, open_until=until if probe else health.open_until)


def _open_until(streak: int, now: datetime) -> datetime | None:
    return now + pause_after(streak) if streak >= OPENS_AFTER else None


def pause_after(streak: int) -> timedelta:
    """How long the circuit stays open after so many failures in a row."""
    doublings = min(streak - OPENS_AFTER, _LONG_STREAK - OPENS_AFTER)
    return min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)


# From here on the pause is the longest: over an hour without a success is no passing trouble.
_LONG_STREAK = OPENS_AFTER + 7


def is_open(open_until: datetime | None, now: datetime) -> bool:
    return open_until is not None and open_until > now


def is_over(health: ChannelHealth, now: datetime) -> bool:
    """Whether the channel has failed for so long that it is switched off."""
    return health.failing_since is not None and health.failing_since <= now - OFF_AFTER
