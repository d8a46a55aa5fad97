"""How often something may be done: named limits over moving windows, counted with `limits`.

In this process, or in Redis (REDIS_URL) for all processes together. While Redis does not answer
each process counts by itself, and health says so.
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
    """`amount` in any `seconds` for one key. `refusal` is what people read beyond it, with
    `%(seconds)s` or `%(minutes)s` to wait.

    `told`: an answer's headers may say what is left of it. Not where the key is an address: that
    would tell strangers what happens to it.
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
# of invitations and the like: apart from MAIL, so that they cost nobody the links to sign in
UNASKED = Limit(
    "mail-unasked", 5, HOUR,
    _("Too many mails to this address. Please try again in %(minutes)s min."), told=False,
)  # fmt: skip
WRITTEN_TO = Limit(
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
    """What is left of a limit for one key; `reset` is in seconds, until some of it comes back."""

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

    The library's own looks through all keys, in a thread for each, after every hit; with the keys
    of an hour of a busy site that never ends. This one looks through them once a minute.
    """

    def __init__(self) -> None:
        super().__init__()
        self._swept_at = time.time()

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Nothing here waits, so that two requests never count at the same time."""
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
    """The limits of a process. RATE_LIMITS_ENABLED=false: everything is allowed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._memory = MovingWindowRateLimiter(Windows())
        self._redis = _in_redis(settings.redis_url) if settings.redis_url else None

    @property
    def enabled(self) -> bool:
        return self._settings.rate_limits_enabled

    async def hit(self, limit: Limit, key: str, amount: int = 1) -> Quota:
        """Count `amount` for the key; where they do not fit nothing is counted, nor allowed."""

        async def ask(limiter: RateLimiter) -> Quota:
            allowed = await limiter.hit(limit.item, key, cost=amount)
            return await _quota(limiter, limit, key, allowed)

        return await self._ask(ask, limit)

    async def look(self, limit: Limit, key: str) -> Quota:
        """What is left for the key; `allowed` is whether a hit would be."""

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
        """For health: whether the limits count where they should, and where that is."""
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
    """The limits as one request meets them; `quotas` is what it was judged by."""

    limits: RateLimits
    quotas: list[Quota] = field(default_factory=list[Quota])

    async def require(self, limit: Limit, key: str, amount: int = 1) -> None:
        """Count `amount` for the key. Raises TooManyRequests."""
        self._judge(await self.limits.hit(limit, key, amount))

    async def require_room(self, limit: Limit, key: str) -> None:
        """Count nothing; raise TooManyRequests where `require` would."""
        self._judge(await self.limits.look(limit, key))

    @property
    def enabled(self) -> bool:
        return self.limits.enabled

    async def has_room(self, limit: Limit, key: str) -> bool:
        """Count one for the key, unless its window is full; say which. Tells nobody else."""
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
    """Imported where it is wanted: the client takes 22 MB, and a second of a process's start."""
    from soonish.infra.rate_limits.redis import RedisWindows

    return RedisWindows(url)
