"""The long forms of tests/e2e/test_crowds.py; `make chaos` runs them."""

from __future__ import annotations

import os
from collections.abc import Generator

import httpx2
import pytest

from soonish.config import Settings
from soonish.delivery.sending.results import FLUSH_ROWS
from tests.chaos.conftest import Figures
from tests.chaos.forms import chance
from tests.chaos.ledger_file import rows_in_flight
from tests.e2e.crowd import Crowd, gather, kill_a_worker
from tests.e2e.people import Person
from tests.e2e.test_crowds import subscribe_at_rate
from tests.support.http_sink import HttpSink, Reply, serve_http
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.system, pytest.mark.xdist_group("system")]
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "5"))
KILLS = int(os.environ.get("CHAOS_ROUNDS", "20"))
PEOPLE = 1000
MANY = 10_000
# What one killed worker may send twice: rows not flushed yet, and those in its threads for one host
AT_RISK = FLUSH_ROWS + 128 // 4


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
def test_a_kill_at_a_random_moment(
    crowd: Crowd, number: int, delay: float, figures: Figures
) -> None:
    """Targets of any speed: the kill meets the expansion, the sends, the marks or the end."""
    dice = chance(number, delay)
    crowd.sink.default = Reply(delay=delay)
    told = crowd.organizer.notify(crowd.event, title := f"Round {number} at {delay}")
    kills = [kill_a_worker(crowd.system, dice, 1.5 + 10 * delay)]
    in_flight = rows_in_flight(crowd.system.home)
    crowd.everybody_has(title, 120)
    crowd.ledger_says_sent(told["notification_id"])
    duplicates = crowd.duplicates_were_in_flight(title, kills)
    figures(messages=PEOPLE, duplicates=duplicates, in_flight=in_flight)
    wait_for(lambda: len(crowd.system.pids("worker")) == 2, 60, "both workers")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_five_kills_of_one_broadcast(crowd: Crowd, number: int, figures: Figures) -> None:
    dice = chance("five", number)
    crowd.sink.default = Reply(delay=0.2)
    told = crowd.organizer.notify(crowd.event, title := f"Five {number}")
    kills = [kill_a_worker(crowd.system, dice, 4.0) for _ in range(5)]
    crowd.everybody_has(title, 180)
    crowd.ledger_says_sent(told["notification_id"])
    duplicates = crowd.duplicates_were_in_flight(title, kills)
    figures(messages=PEOPLE, duplicates=duplicates, in_flight=len(kills) * AT_RISK)
    assert duplicates <= len(kills) * AT_RISK
    assert Settings.model_fields["delivery_batch_size"].default == FLUSH_ROWS


def test_twenty_kills_of_workers_with_ten_thousand_to_tell(
    system: SoonishSystem, sink: HttpSink, figures: Figures
) -> None:
    """A broadcast that is through before the last kill is followed by another."""
    crowd, dice = gather(system, sink, MANY, prefix="many"), chance("many")
    sink.default = Reply(delay=0.2)
    killed = 0
    while killed < KILLS:
        sink.requests.clear()
        told = crowd.organizer.notify(crowd.event, title := f"After {killed} kills")
        kills: list[float] = []
        while killed < KILLS and len(crowd.hits(title)) < MANY:
            kills.append(kill_a_worker(system, dice, 3.0))
            killed += 1
        crowd.everybody_has(title, 300)
        crowd.ledger_says_sent(told["notification_id"])
        duplicates = crowd.duplicates_were_in_flight(title, kills)
        at_risk = len(kills) * AT_RISK
        figures(rounds=len(kills), messages=MANY, duplicates=duplicates, in_flight=at_risk)
        assert duplicates <= at_risk


def test_two_thousand_subscriptions_in_ten_seconds(system: SoonishSystem) -> None:
    organizer = Person(system, "olga").sign_up()
    subscribe_at_rate(system, organizer, people=2000, per_second=200)


def test_everything_is_killed_in_turn(crowd: Crowd) -> None:
    """API, workers and Temporal, again and again, during one broadcast."""
    dice = chance("all")
    crowd.sink.default = Reply(delay=0.3)
    told = crowd.organizer.notify(crowd.event, "All fall down")
    crowd.sink.wait_for(1, seconds=20)
    for part in ("worker", "main api", "server start-dev", "worker", "main api", "worker"):
        wait_for(lambda part=part: crowd.system.pids(part), 60, part)
        crowd.system.kill_part(part)
        crowd.sink.closing.wait(dice.uniform(0.2, 1.5))
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
