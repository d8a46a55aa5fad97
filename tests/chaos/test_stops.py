"""Workers that are asked to stop, and a Temporal that is killed, during broadcasts."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator

import pytest

from tests.chaos.conftest import Figures
from tests.chaos.forms import chance, rounds
from tests.chaos.ledger_file import rows_in_flight
from tests.e2e.crowd import Crowd, gather
from tests.support.http_sink import HttpSink, Reply, serve_http
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]
PEOPLE = 600
OUT_SECONDS = 18.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[SoonishSystem]:
    with SoonishSystem(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def sink() -> Generator[HttpSink]:
    with serve_http() as made:
        made.default = Reply(delay=0.3)
        yield made


@pytest.fixture(scope="module")
def crowd(system: SoonishSystem, sink: HttpSink) -> Crowd:
    return gather(system, sink, PEOPLE)


def come_again(crowd: Crowd, title: str) -> int:
    """How many messages came once too often."""
    return sum(crowd.hits(title).values()) - len(crowd.hits(title))


@rounds(short=1, full=20)
def test_a_stopped_worker_hands_its_rows_over(crowd: Crowd, rounds: int, figures: Figures) -> None:
    for number in range(rounds):
        title = f"Stop {number} of {rounds}"
        told = crowd.organizer.notify(crowd.event, title)
        wait_for(lambda title=title: len(crowd.hits(title)) >= 20, 30, "the broadcast to begin")
        in_flight = rows_in_flight(crowd.system.home)
        assert stop_a_worker(crowd.system, number) < OUT_SECONDS
        crowd.everybody_has(title, 60)
        crowd.ledger_says_sent(told["notification_id"])
        again = come_again(crowd, title)
        figures(messages=crowd.size, duplicates=again, in_flight=in_flight)
        assert again == 0
        wait_for(lambda: len(crowd.system.pids("worker")) == 2, 60, "both workers")


def stop_a_worker(system: SoonishSystem, number: int) -> float:
    """SIGTERM, as a service manager does it; the seconds until the process had ended."""
    pid, started = chance("stop", number).choice(system.pids("worker")), time.monotonic()
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: pid not in system.children(), 2 * OUT_SECONDS, "the worker to end")
    return time.monotonic() - started


@rounds(short=1, full=5)
def test_a_killed_temporal_holds_up_nothing_for_long(
    crowd: Crowd, rounds: int, figures: Figures
) -> None:
    """Every kill meets a broadcast under way; each of them ends."""
    told: dict[str, int] = {}
    for number in range(rounds):
        title = f"Kill {number} of {rounds}"
        wait_for(lambda: crowd.system.pids("server start-dev"), 60, "Temporal to be started")
        told[title] = crowd.organizer.notify(crowd.event, title)["notification_id"]
        wait_for(lambda title=title: len(crowd.hits(title)) >= 20, 90, "the broadcast to begin")
        in_flight = rows_in_flight(crowd.system.home)
        crowd.system.kill_part("server start-dev")
        figures(messages=crowd.size, in_flight=in_flight)
    for title, notification_id in told.items():
        crowd.everybody_has(title, 120)
        crowd.ledger_says_sent(notification_id)
        again = come_again(crowd, title)
        figures(rounds=0, messages=0, duplicates=again)
        assert again == 0
