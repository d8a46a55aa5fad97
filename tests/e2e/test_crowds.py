"""Many recipients, bursts of subscriptions, and processes killed in the middle of it."""

from __future__ import annotations

import random
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.e2e.crowd import gather, kill_a_worker
from tests.e2e.people import PASSWORD, Person, new_address
from tests.e2e.temporal_view import TemporalView
from tests.support.http_sink import HttpSink, Reply, serve_http
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]
SEED = 20_261_123


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[SoonishSystem]:
    with SoonishSystem(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def organizer(system: SoonishSystem) -> Person:
    return Person(system, "olga").sign_up()


@pytest.fixture
def slow_sink() -> Generator[HttpSink]:
    """Slow enough that a broadcast takes seconds, and a kill meets it under way."""
    with serve_http() as sink:
        sink.default = Reply(delay=0.4)
        yield sink


def test_a_killed_worker_loses_nothing_of_a_broadcast(
    system: SoonishSystem, slow_sink: HttpSink
) -> None:
    crowd, chance = gather(system, slow_sink, 1000), random.Random(SEED)
    told = crowd.organizer.notify(crowd.event, "The gates are open")
    assert told["audience"] == 1000
    slow_sink.wait_for(50, seconds=20)
    kills = [kill_a_worker(system, chance, 1.0) for _ in range(2)]
    assert len(crowd.hits("The gates are open")) < 1000, "the kills came too late"
    crowd.everybody_has("The gates are open", 60)
    crowd.ledger_says_sent(told["notification_id"])
    crowd.duplicates_were_in_flight("The gates are open", kills)


def test_a_burst_of_subscriptions_welcomes_everybody_once(
    system: SoonishSystem, organizer: Person
) -> None:
    subscribe_at_rate(system, organizer, people=400, per_second=200)


def subscribe_at_rate(
    system: SoonishSystem, organizer: Person, people: int, per_second: float
) -> None:
    event = organizer.create_event("Open air")
    addresses = [new_address("burst") for _ in range(people)]
    started = time.monotonic()
    path = f"{system.base_url}/api/events/{event['id']}/subscribe"
    with httpx2.Client(timeout=30) as client, ThreadPoolExecutor(8) as pool:

        def subscribe(number: int) -> int:
            time.sleep(max(0.0, started + number / per_second - time.monotonic()))
            return client.post(path, json={"email": addresses[number]}).status_code

        statuses = list(pool.map(subscribe, range(people)))
    assert statuses == [201] * people
    welcomes = wait_for_welcomes(system, organizer, event["id"], people)
    assert welcomes == {"sent": people}
    mails = system.mails("You're subscribed to Open air")
    recipients = [mail.recipients for mail in mails if mail.recipients[0] in set(addresses)]
    assert sorted(r[0] for r in recipients) == sorted(addresses)
    events = TemporalView(system).event_types(event["temporal_workflow_id"])
    tasks = events.count("WorkflowTaskCompleted")
    # A busy machine stretches the burst, and its advances find fewer rows each.
    assert tasks < people / 2, f"{tasks} workflow tasks for {people} subscriptions"


def wait_for_welcomes(
    system: SoonishSystem, organizer: Person, event_id: int, people: int
) -> dict[str, int]:
    def sent() -> dict[str, int]:
        counts = organizer.counts_by_kind({"id": event_id}).get("welcome", {})
        return counts if counts.get("sent", 0) >= people else {}

    return wait_for(sent, 90, f"{people} welcomes")


def test_sessions_and_tokens_survive_the_api(system: SoonishSystem) -> None:
    person = Person(system, "paula").sign_up()
    body = {"email": person.address, "password": PASSWORD}
    browser = httpx2.Client(base_url=system.base_url, timeout=15)
    with browser:
        assert browser.post("/api/auth/login", json=body).status_code == 200
        before = len(system.lines)
        system.kill_part("main api")
        wait_for(lambda: any(s.startswith("API is ready") for s in system.lines[before:]), 60)
        assert browser.get("/api/users/me").json()["email"] == person.address
    assert person.ask("GET", "/api/users/me", expect=200)["email"] == person.address
    assert person.create_event("After the crash")["name"] == "After the crash"
