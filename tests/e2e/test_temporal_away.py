"""Without Temporal everything is still accepted; once it is back, all of it happens, in order."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import pytest

from tests.e2e.own_temporal import OwnTemporal
from tests.e2e.people import Person, new_address, subscribe_anonymously
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]
QUICK_SECONDS = 2.0


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Generator[OwnTemporal]:
    server = OwnTemporal(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def system(
    tmp_path_factory: pytest.TempPathFactory, temporal: OwnTemporal
) -> Generator[SoonishSystem]:
    home = tmp_path_factory.mktemp("home")
    with SoonishSystem(home, TEMPORAL_URL=temporal.address) as running:
        yield running


@pytest.fixture(scope="module")
def organizer(system: SoonishSystem) -> Person:
    return Person(system, "olga").sign_up()


class Plot:
    """What happens to one event while nobody listens: created, joined, told, changed, told."""

    def __init__(self, organizer: Person, name: str) -> None:
        self.organizer, self.name = organizer, name
        self.guest = new_address()
        self.event: dict[str, Any] = {}
        self.slowest = 0.0

    def play(self) -> None:
        system, organizer = self.organizer.system, self.organizer
        self.event = self._timed(lambda: organizer.create_event(self.name))
        self._timed(lambda: subscribe_anonymously(system, self.event, self.guest))
        self._timed(lambda: organizer.notify(self.event, "First word"))
        path = f"/api/events/{self.event['id']}"
        self._timed(lambda: organizer.ask("PATCH", path, json={"location": "Dock 4"}))
        self._timed(lambda: organizer.notify(self.event, "Last word"))

    def _timed(self, act: Any) -> Any:
        started = time.monotonic()
        result = act()
        self.slowest = max(self.slowest, time.monotonic() - started)
        return result

    def subjects(self) -> list[str]:
        return [mail.subject for mail in self.organizer.system.mails_to(self.guest)][::-1]

    def nobody_has_heard(self) -> None:
        assert self.subjects() == []
        assert f"Your event {self.name} is ready" not in self.organizer.subjects()

    def wait_until_all_is_told(self, seconds: float) -> None:
        """Everything came, each once, in the order in which it was asked for."""
        wait_for(lambda: "Last word" in self.subjects(), seconds, "the last message")
        for told in wait_for(self._all_settled, 30, "all deliveries to be settled"):
            assert told["counts"]["sent"] == 1, told
        assert self.subjects() == [
            f"You're subscribed to {self.name}",
            "First word",
            f"{self.name} has changed",
            "Last word",
        ]
        assert self.organizer.subjects().count(f"Your event {self.name} is ready") == 1

    def _all_settled(self) -> list[dict[str, Any]]:
        path = f"/api/events/{self.event['id']}/notifications"
        items = self.organizer.ask("GET", path)["items"]
        open_states = ("pending", "sending", "retrying")
        return [] if any(one["counts"][s] for one in items for s in open_states) else items


def test_work_is_accepted_while_temporal_is_dead(
    system: SoonishSystem, temporal: OwnTemporal, organizer: Person
) -> None:
    plot = Plot(organizer, "Blackout")
    temporal.stop()
    plot.play()
    assert plot.slowest < QUICK_SECONDS
    status = organizer.ask("GET", f"/api/events/{plot.event['id']}/workflow/status", expect=200)
    assert status["status"] == "starting"
    health = organizer.ask("GET", "/api/health", expect=200)
    assert (health["status"], health["parts"]["temporal"]["ok"]) == ("degraded", False)
    organizer.ask("GET", "/api/health?strict=1", expect=503)
    plot.nobody_has_heard()
    temporal.start()
    plot.wait_until_all_is_told(60)


def test_work_is_accepted_while_temporal_hangs(
    system: SoonishSystem, temporal: OwnTemporal, organizer: Person
) -> None:
    plot = Plot(organizer, "Freeze")
    temporal.freeze()
    try:
        plot.play()
        assert plot.slowest < QUICK_SECONDS
        plot.nobody_has_heard()
    finally:
        temporal.thaw()
    plot.wait_until_all_is_told(60)


def test_what_was_answered_survives_the_api(
    system: SoonishSystem, temporal: OwnTemporal, organizer: Person
) -> None:
    """SIGKILL straight after the answers, while Temporal is away: the database has it all."""
    plot = Plot(organizer, "Power cut")
    temporal.stop()
    before = len(system.lines)
    plot.play()
    system.kill_part("main api")
    wait_for(lambda: any(s.startswith("API is ready") for s in system.lines[before:]), 60)
    plot.nobody_has_heard()
    temporal.start()
    plot.wait_until_all_is_told(60)


def test_killing_the_api_after_its_answer_delays_nothing(
    system: SoonishSystem, organizer: Person
) -> None:
    before = len(system.lines)
    plot = Plot(organizer, "Short circuit")
    plot.play()
    system.kill_part("main api")
    wait_for(lambda: any(s.startswith("API is ready") for s in system.lines[before:]), 60)
    plot.wait_until_all_is_told(40)


def test_a_killed_temporal_comes_back_with_all_it_knew(
    system: SoonishSystem, temporal: OwnTemporal, organizer: Person
) -> None:
    """A workflow that ran before goes on after it."""
    plot = Plot(organizer, "Reprise")
    plot.play()
    plot.wait_until_all_is_told(40)
    temporal.stop()
    organizer.notify(plot.event, "An encore")
    temporal.start()
    wait_for(lambda: "An encore" in plot.subjects(), 60, "the encore")
    assert len(plot.subjects()) == 5
