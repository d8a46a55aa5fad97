"""Events with a crowd of webhook subscribers, written straight into a running system's database."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from bench.seed import Seed
from tests.e2e.people import Person
from tests.support.http_sink import HttpSink
from tests.support.settings import forget_environment
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

SENT_BUT_UNMARKED_SECONDS = 1.5  # marks are flushed every 100 ms; the machine may be busy


@dataclass
class Crowd:
    """`size` people, each with a webhook of their own path at one sink."""

    system: SoonishSystem
    sink: HttpSink
    organizer: Person
    event: dict[str, Any]
    size: int

    def hits(self, title: str) -> Counter[str]:
        """How often each path got this message."""
        return Counter(r.path for r in list(self.sink.requests) if r.json()["title"] == title)

    def first_hits(self, title: str) -> dict[str, float]:
        """When (monotonic) each path got it first."""
        first: dict[str, float] = {}
        for request in list(self.sink.requests):
            if request.json()["title"] == title:
                first.setdefault(request.path, request.at)
        return first

    def everybody_has(self, title: str, seconds: float) -> None:
        wait_for(lambda: len(self.hits(title)) == self.size, seconds, f"{self.size} of {title!r}")

    def ledger_says_sent(self, notification_id: int, seconds: float = 60) -> None:
        expected = {"sent": self.size}
        wait_for(
            lambda: self.organizer.counts(self.event, notification_id) == expected,
            seconds,
            f"{expected} in the ledger",
        )

    def duplicates_were_in_flight(self, title: str, kills: list[float]) -> int:
        """How many got it again; each of them was being sent or marked when a worker was killed."""
        first = self.first_hits(title)
        again = [path for path, count in self.hits(title).items() if count > 1]
        for path in again:
            assert any(-SENT_BUT_UNMARKED_SECONDS < first[path] - at < 1 for at in kills), (
                f"{path} was sent twice, first {[first[path] - at for at in kills]} s after kills"
            )
        return len(again)


def gather(system: SoonishSystem, sink: HttpSink, size: int, prefix: str = "c") -> Crowd:
    """A crowd of webhook subscribers and the organizer of their event."""
    event_id, token = _seeded(system, size, lambda n: sink.apprise_url(f"/{prefix}{n}"))
    organizer = Person(system, "organizer")
    organizer.token = token
    event = organizer.ask("GET", f"/api/events/{event_id}", expect=200)
    assert event["subscriber_count"] == size
    return Crowd(system, sink, organizer, event, size)


def _seeded(system: SoonishSystem, size: int, url_of: Any) -> tuple[int, str]:
    """bench.seed reads the system's settings from this process's environment: put back after."""
    before = dict(os.environ)
    try:
        return Seed(system).event(size, url_of)  # type: ignore[arg-type]
    finally:
        os.environ.clear()
        os.environ.update(before)
        forget_environment()


def kill_a_worker(system: SoonishSystem, chance: random.Random, within: float) -> float:
    """SIGKILL any worker at a random instant of the next `within` seconds; when it was."""
    time.sleep(chance.uniform(0, within))
    workers = wait_for(lambda: system.pids("worker"), 30, "a worker to kill")
    os.kill(chance.choice(workers), signal.SIGKILL)
    return time.monotonic()
