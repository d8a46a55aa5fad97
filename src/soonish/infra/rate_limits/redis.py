"""Count rate limits in Redis, for all processes together."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter, RateLimiter
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

T = TypeVar("T")
ANSWER_SECONDS = 0.25  # a request waits no longer for Redis
PAUSE_SECONDS = 2.0  # after a failure, before Redis is asked again
CONNECTIONS = 50
PREFIX = "soonish"
log = structlog.get_logger()


class RedisWindows:
    """Rate limit windows in Redis at `url` (REDIS_URL); connects at the first request."""

    def __init__(self, url: str) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=ANSWER_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1),  # a kept connection may have been closed meanwhile
        )
        options: dict[str, Any] = {"connection_pool": pool}
        storage = RedisStorage(
            f"async+{url}", implementation="redispy", key_prefix=PREFIX, **options
        )
        self._pool = pool
        self._limiter = MovingWindowRateLimiter(storage)
        self._ask_again_at = 0.0

    async def ask(self, question: Callable[[RateLimiter], Awaitable[T]]) -> T | None:
        """Return the answer, None if Redis gives none; then don't ask it for PAUSE_SECONDS."""
        if time.monotonic() < self._ask_again_at:
            return None
        try:
            answer = await question(self._limiter)
        except (RedisError, OSError, TimeoutError) as error:
            self._note_loss(error)
            return None
        self._note_answer()
        return answer

    async def answers(self) -> bool:
        """Return whether Redis answers now."""
        try:
            async with Redis(connection_pool=self._pool) as redis:
                await redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            self._note_loss(error)
            return False
        self._note_answer()
        return True

    async def close(self) -> None:
        await self._pool.disconnect()

    def _note_loss(self, error: Exception) -> None:
        if not self._ask_again_at:
            log.warning("rate limits are counted without Redis", error=type(error).__name__)
        self._ask_again_at = time.monotonic() + PAUSE_SECONDS

    def _note_answer(self) -> None:
        if self._ask_again_at:
            self._ask_again_at = 0.0
            log.info("rate limits are counted in Redis again")
