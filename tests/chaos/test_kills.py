"""The long forms of tests/e2e/test_crowds.py; `make chaos` runs them."""

from __future__ import annotations

import os
import random
from collections.abc import Generator

import httpx2
import pytest

from soonish.config import Settings
from soonish.notifications.marks import FLUSH_ROWS
from tests.e2e.crowd import Crowd, gather, kill_a_worker
from tests.e2e.people import Person
from tests.e2e.test_crowds import subscribe_at_rate
from tests.support.http_sink import HttpSink, Reply, serve_http
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.system, pytest.mark.xdist_group("system")]
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "5"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
PEOPLE = 1000


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[SoonishSystem]:
    with SoonishSystem(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def sink() -> Generator[HttpSink]:
    with serve_http() as made:
        yield made


@pytest.fixture(scope="module")
def crowd(system: SoonishSystem, sink: HttpSink) -> Crowd:
    return gather(system, sink, PEOPLE)


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.3])
def test_a_kill_at_a_random_moment(crowd: Crowd, number: int, delay: float) -> None:
    """Targets of any speed: the kill meets the expansion, the sends, the marks or the end."""
    chance = random.Random(f"{SEED}:{number}:{delay}")
    crowd.sink.default = Reply(delay=delay)
    told = crowd.organizer.notify(crowd.event, title := f"Round {number} at {delay}")
    kills = [kill_a_worker(crowd.system, chance, 1.5 + 10 * delay)]
    crowd.everybody_has(title, 120)
    crowd.ledger_says_sent(told["notification_id"])
    crowd.duplicates_were_in_flight(title, kills)
    wait_for(lambda: len(crowd.system.pids("worker")) == 2, 60, "both workers")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_five_kills_of_one_broadcast(crowd: Crowd, number: int) -> None:
    chance = random.Random(f"{SEED}:five:{number}")
    crowd.sink.default = Reply(delay=0.2)
    told = crowd.organizer.notify(crowd.event, title := f"Five {number}")
    kills = [kill_a_worker(crowd.system, chance, 4.0) for _ in range(5)]
    crowd.everybody_has(title, 180)
    crowd.ledger_says_sent(told["notification_id"])
    duplicates = crowd.duplicates_were_in_flight(title, kills)
    threads = 128 // 4  # of one destination
    assert duplicates <= len(kills) * (FLUSH_ROWS + threads)
    assert Settings.model_fields["delivery_batch_size"].default == FLUSH_ROWS


def test_two_thousand_subscriptions_in_ten_seconds(system: SoonishSystem) -> None:
    organizer = Person(system, "olga").sign_up()
    subscribe_at_rate(system, organizer, people=2000, per_second=200)


def test_everything_is_killed_in_turn(crowd: Crowd) -> None:
    """API, workers and Temporal, again and again, during one broadcast."""
    chance = random.Random(f"{SEED}:all")
    crowd.sink.default = Reply(delay=0.3)
    told = crowd.organizer.notify(crowd.event, "All fall down")
    crowd.sink.wait_for(1, seconds=20)
    for part in ("worker", "main api", "server start-dev", "worker", "main api", "worker"):
        wait_for(lambda part=part: crowd.system.pids(part), 60, part)
        crowd.system.kill_part(part)
        crowd.sink.closing.wait(chance.uniform(0.2, 1.5))
    wait_for(lambda: _healthy(crowd), 90, "the system to be healthy again")
    crowd.everybody_has("All fall down", 180)
    crowd.ledger_says_sent(told["notification_id"])


def _healthy(crowd: Crowd) -> bool:
    if not crowd.system.pids("main api"):
        return False
    try:
        return crowd.organizer.answer("GET", "/api/health").json()["status"] == "ok"
    except httpx2.TransportError:
        return False
