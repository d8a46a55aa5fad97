"""Named limits over moving windows: in this process, in a real Redis, and while that is away."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable

import pytest
import time_machine
from structlog.testing import capture_logs

from soonish.config import Settings
from soonish.errors import ConfigurationError, TooManyRequests
from soonish.infra.rate_limits import redis
from soonish.infra.rate_limits.limits import SWEEP_SECONDS, Limit, Meter, RateLimits, Windows
from tests.support.redis_server import RedisServer

THREE = Limit("three", 3, 60, "Too much, wait %(seconds)s s.")


@pytest.fixture(params=["memory", "redis"])
async def limits(
    request: pytest.FixtureRequest, settings_for: Callable[..., Settings]
) -> AsyncGenerator[RateLimits]:
    url = ""
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url
    made = RateLimits(settings_for(rate_limits_enabled=True, redis_url=url))
    yield made
    await made.close()


async def test_a_full_window_allows_nothing_until_its_oldest_entry_is_over(
    limits: RateLimits,
) -> None:
    with time_machine.travel(time.time(), tick=False) as clock:
        for left in (2, 1, 0):
            quota = await limits.hit(THREE, "anna")
            assert (quota.allowed, quota.remaining) == (True, left)
            clock.shift(10)
        refused = await limits.hit(THREE, "anna")
        assert (refused.allowed, refused.remaining) == (False, 0)
        assert refused.reset in (30, 31)  # Redis rounds its instants
        clock.shift(31)
        assert (await limits.hit(THREE, "anna")).allowed
        assert not (await limits.hit(THREE, "anna")).allowed


async def test_keys_and_limits_are_counted_apart(limits: RateLimits) -> None:
    for _ in range(3):
        assert (await limits.hit(THREE, "anna")).allowed
    assert not (await limits.peek(THREE, "anna")).allowed
    assert (await limits.hit(THREE, "bert")).allowed
    assert (await limits.hit(Limit("other", 3, 60, ""), "anna")).allowed


async def test_looking_counts_nothing(limits: RateLimits) -> None:
    for _ in range(5):
        quota = await limits.peek(THREE, "anna")
        assert (quota.allowed, quota.remaining) == (True, 3)


async def test_of_many_at_once_no_more_than_the_limit_are_allowed(limits: RateLimits) -> None:
    answers = await asyncio.gather(*(limits.hit(THREE, "anna") for _ in range(40)))
    assert sum(one.allowed for one in answers) == 3


async def test_a_refusal_says_how_long_to_wait(limits: RateLimits) -> None:
    meter = Meter(limits)
    for _ in range(3):
        await meter.require(THREE, "anna")
    with pytest.raises(TooManyRequests) as refused:
        await meter.require(THREE, "anna")
    assert 59 <= refused.value.retry_after <= 60
    assert refused.value.detail.startswith("Too much, wait ")
    with pytest.raises(TooManyRequests):
        await meter.require_room(THREE, "anna")
    assert not await meter.has_room(THREE, "anna")
    assert [quota.remaining for quota in meter.quotas] == [2, 1, 0, 0, 0]


async def test_having_room_is_told_to_nobody(limits: RateLimits) -> None:
    meter = Meter(limits)
    assert [await meter.has_room(THREE, "fingerprint") for _ in range(4)] == [True] * 3 + [False]
    assert meter.quotas == []


@pytest.mark.processes
async def test_processes_with_one_redis_count_together(
    settings_for: Callable[..., Settings], redis_server: RedisServer
) -> None:
    settings = settings_for(rate_limits_enabled=True, redis_url=redis_server.url)
    processes = [RateLimits(settings) for _ in range(2)]
    answers = [await one.hit(THREE, "anna") for one in processes * 2]
    assert [one.allowed for one in answers] == [True, True, True, False]
    for one in processes:
        await one.close()


@pytest.mark.processes
async def test_without_redis_each_process_counts_and_health_says_so(
    settings_for: Callable[..., Settings], redis_server: RedisServer
) -> None:
    limits = RateLimits(settings_for(rate_limits_enabled=True, redis_url=redis_server.url))
    assert (await limits.hit(THREE, "anna")).remaining == 2
    assert await limits.check() == (True, "counted in Redis")
    redis_server.stop()
    with capture_logs() as lines:
        allowed = [(await limits.hit(THREE, "anna")).allowed for _ in range(5)]
    assert allowed == [True, True, True, False, False]
    assert [line["event"] for line in lines] == ["rate limits are counted without Redis"]
    assert (await limits.check())[0] is False
    redis_server.start()
    assert await limits.check() == (True, "counted in Redis")
    assert (await limits.hit(THREE, "anna")).remaining == 2
    await limits.close()


@pytest.mark.processes
async def test_redis_that_is_back_is_asked_again_without_anybody_looking_at_health(
    settings_for: Callable[..., Settings],
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis, "PAUSE_SECONDS", 0.0)
    limits = RateLimits(settings_for(rate_limits_enabled=True, redis_url=redis_server.url))
    redis_server.stop()
    assert (await limits.hit(THREE, "anna")).remaining == 2
    redis_server.start()
    assert (await limits.hit(THREE, "anna")).remaining == 2
    assert (await limits.hit(THREE, "anna")).remaining == 1
    await limits.close()


@pytest.mark.processes
async def test_a_redis_that_accepts_and_says_nothing_is_not_waited_for(
    settings_for: Callable[..., Settings],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        limits = RateLimits(settings_for(rate_limits_enabled=True, redis_url=url))
        answers = await asyncio.gather(*(limits.hit(THREE, "anna") for _ in range(20)))
        assert sum(one.allowed for one in answers) == 3
        assert (await limits.check())[0] is False
        await limits.close()


async def test_switched_off_they_allow_everything(settings_for: Callable[..., Settings]) -> None:
    limits = RateLimits(settings_for())
    meter = Meter(limits)
    for _ in range(10):
        await meter.require(THREE, "anna")
    assert meter.quotas == []
    assert await limits.check() == (True, "switched off")


async def test_windows_that_are_over_are_forgotten() -> None:
    windows = Windows()
    with time_machine.travel(time.time(), tick=False) as clock:
        for number in range(1000):
            assert await windows.acquire_entry(f"key{number}", 3, 30)
        clock.shift(SWEEP_SECONDS)
        assert await windows.acquire_entry("another", 3, 30)
        assert set(windows.events) == {"another"}


@pytest.mark.parametrize("url", ["localhost:6379", "memcached://localhost", "http://localhost"])
def test_another_address_is_refused_at_start(
    settings_for: Callable[..., Settings], url: str
) -> None:
    with pytest.raises((ConfigurationError, ValueError), match="redis://"):
        settings_for(redis_url=url)
