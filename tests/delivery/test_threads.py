"""The threads of deliveries: those that hang leave room for the others."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from soonish.delivery.transports import threads
from soonish.delivery.transports.threads import START_THREADS, FairThreadPool
from tests.support.wait import wait_for

HANGING = 2 * START_THREADS


@pytest.fixture
def pool() -> Generator[FairThreadPool]:
    made = FairThreadPool("test", 8 * START_THREADS)
    yield made
    made.close()
    made.join(10)


def test_what_comes_after_a_calm_does_not_wait_for_those_that_hang(
    pool: FairThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a queue for a while, few threads are allowed again; more than that still hang."""
    monkeypatch.setattr(threads, "_CALM_SECONDS", 0.1)
    over, begun, quick = threading.Event(), threading.Semaphore(0), threading.Event()

    def hang() -> None:
        begun.release()
        over.wait(60)

    try:
        for number in range(HANGING):
            pool.submit(f"host-{number}", hang)
        assert all(begun.acquire(timeout=10) for _ in range(HANGING))
        pool.submit("quick", lambda: None)  # leaves an idle thread behind
        wait_for(lambda: pool._allowed == START_THREADS, 10, "the calm")  # pyright: ignore[reportPrivateUsage]
        pool.submit("other", quick.set)
        assert quick.wait(10)
    finally:
        over.set()
