"""Rate limits: named limits over moving windows, counted by the library `limits`.

They count in this process, or in Redis (REDIS_URL) for all processes together. While Redis does
not answer each process counts by itself, and health reports it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import structlog
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.storage.memory import Entry
from limits.aio.strategies import MovingWindowRateLimiter, RateLimiter

from soonish.config import Settings
from soonish.errors import TooManyRequests
from soonish.i18n import _

if TYPE_CHECKING:
    from soonish.infra.rate_limits.redis import RedisWindows

SWEEP_SECONDS = 60.0
log = structlog.get_logger()


@dataclass(frozen=True)
class Limit:
    """A limit of `amount` in any `seconds` for one key.

    `refusal` is the message beyond it, with `%(seconds)s` or `%(minutes)s` to wait. `told`: the
    response's headers say what is left. It is False if the key is an address, since that would
    tell strangers about it.
    """

    name: str
    amount: int
    seconds: int
    refusal: str
    told: bool = True

    @cached_property
    def item(self) -> RateLimitItem:
        return RateLimitItemPerSecond(self.amount, self.seconds, namespace=self.name)


MINUTE, HOUR, DAY = 60, 3600, 86_400
_WRONG_PASSWORDS = _("Too many wrong passwords. Please try again in %(minutes)s min.")
LOGIN_CLIENT = Limit("login", 5, 15 * MINUTE, _WRONG_PASSWORDS)
LOGIN_ADDRESS = Limit("login-address", 10, HOUR, _WRONG_PASSWORDS, told=False)
API = Limit("api", 100, MINUTE, _("You sent too many requests. Please try again in %(seconds)s s."))
SUBSCRIBE = Limit(
    "subscribe",
    20,
    HOUR,
    _("Too many subscriptions from your network. Please try again in %(minutes)s min."),
)
MAIL = Limit(
    "mail", 5, HOUR, _("Too many mails to this address. Please try again in %(minutes)s min."),
    told=False,
)  # fmt: skip
# invitations and the like: separate from MAIL, so that they never use up sign-in links
UNSOLICITED_MAIL = Limit(
    "mail-unasked", 5, HOUR,
    _("Too many mails to this address. Please try again in %(minutes)s min."), told=False,
)  # fmt: skip
DAILY_RECIPIENTS = Limit(
    "mail-from",
    2000,
    DAY,
    _("You wrote to too many addresses today. Please try again in %(minutes)s min."),
)
TRANSFER = Limit(
    "transfer",
    10,
    HOUR,
    _("You tried to hand over too many events. Please try again in %(minutes)s min."),
)
CHANNEL_TEST = Limit(
    "channel-test",
    5,
    MINUTE,
    _("You sent too many test messages. Please try again in %(seconds)s s."),
)
NOTIFY = Limit(
    "notify",
    30,
    HOUR,
    _("You sent too many messages about this event. Please try again in %(minutes)s min."),
)


@dataclass(frozen=True)
class Quota:
    """The rest of a limit for one key; `reset` is in seconds, until some of it comes back."""

    limit: Limit
    allowed: bool
    remaining: int
    reset: int

    def refusal(self) -> TooManyRequests:
        minutes = math.ceil(self.reset / MINUTE)
        said = _(self.limit.refusal, seconds=self.reset, minutes=minutes)
        return TooManyRequests(self.reset, said)


class Windows(MemoryStorage):
    """The windows of this process.

    The library's storage checks all keys after every hit, with a thread for each; with the keys
    of an hour of a busy site that never ends. This one checks them once a minute.
    """

    def __init__(self) -> None:
        super().__init__()
        self._swept_at = time.time()

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count without awaiting, so that two requests never count at the same time."""
        now = time.time()
        self._sweep(now)
        entries = self.events.setdefault(key, [])
        place = limit - amount
        if place < 0 or (len(entries) > place and entries[place].atime >= now - expiry):
            return False
        entries[:0] = [Entry(expiry) for _ in range(amount)]
        del entries[limit:]
        return True

    def _sweep(self, now: float) -> None:
        if now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            self.events = {k: e for k, e in self.events.items() if e and e[0].expiry > now}


class RateLimits:
    """The limits of a process; RATE_LIMITS_ENABLED=false allows everything."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._memory = MovingWindowRateLimiter(Windows())
        self._redis = _in_redis(settings.redis_url) if settings.redis_url else None

    @property
    def enabled(self) -> bool:
        return self._settings.rate_limits_enabled

    async def hit(self, limit: Limit, key: str, amount: int = 1) -> Quota:
        """Count `amount` for the key, or nothing if that is over the limit."""

        async def ask(limiter: RateLimiter) -> Quota:
            allowed = await limiter.hit(limit.item, key, cost=amount)
            return await _quota(limiter, limit, key, allowed)

        return await self._ask(ask, limit)

    async def peek(self, limit: Limit, key: str) -> Quota:
        """Return what is left for the key; `allowed` says whether a hit would be."""

        async def ask(limiter: RateLimiter) -> Quota:
            return await _quota(limiter, limit, key, await limiter.test(limit.item, key))

        return await self._ask(ask, limit)

    async def _ask(self, ask: Callable[[RateLimiter], Awaitable[Quota]], limit: Limit) -> Quota:
        if not self.enabled:
            return Quota(limit, allowed=True, remaining=limit.amount, reset=0)
        if self._redis is not None:
            answer = await self._redis.ask(ask)
            if answer is not None:
                return answer
        return await ask(self._memory)

    async def check(self) -> tuple[bool, str]:
        """Return for health whether the limits are counted as configured, and where."""
        if not self.enabled:
            return True, "switched off"
        if self._redis is None:
            return True, "counted in this process"
        if await self._redis.answers():
            return True, "counted in Redis"
        return False, "Redis does not answer: each process counts by itself"

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.close()


@dataclass
class Meter:
    """The limits of one request; `quotas` are those that were checked."""

    limits: RateLimits
    quotas: list[Quota] = field(default_factory=list[Quota])

    async def require(self, limit: Limit, key: str, amount: int = 1) -> None:
        """Count `amount` for the key. Raises TooManyRequests."""
        self._judge(await self.limits.hit(limit, key, amount))

    async def require_room(self, limit: Limit, key: str) -> None:
        """Raise TooManyRequests if `require` would, without counting."""
        self._judge(await self.limits.peek(limit, key))

    @property
    def enabled(self) -> bool:
        return self.limits.enabled

    async def has_room(self, limit: Limit, key: str) -> bool:
        """Count one for the key unless its window is full; return whether it counted."""
        return (await self.limits.hit(limit, key)).allowed

    def _judge(self, quota: Quota) -> None:
        if self.enabled:
            self.quotas.append(quota)
        if not quota.allowed:
            raise quota.refusal()


async def _quota(limiter: RateLimiter, limit: Limit, key: str, allowed: bool) -> Quota:
    stats = await limiter.get_window_stats(limit.item, key)
    reset = max(1, math.ceil(stats.reset_time - time.time()))
    return Quota(limit, allowed, max(0, stats.remaining), reset)


def _in_redis(url: str) -> RedisWindows:
    """Import Redis only if it is used: the client takes 22 MB and a second of the start."""
    from soonish.infra.rate_limits.redis import RedisWindows

    return RedisWindows(url)
