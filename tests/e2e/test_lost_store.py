"""The whole system is stopped, its Temporal store deleted, and it is started again."""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.people import Person, new_address, subscribe_anonymously, wait_until_settled
from tests.e2e.temporal_view import TemporalView
from tests.support.http_sink import HttpSink, Reply, serve_http
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]
WITHIN_SECONDS = 60.0


@pytest.fixture
def system(tmp_path: Path) -> Generator[SoonishSystem]:
    """Started by the test; stopped here in any case."""
    made = SoonishSystem(tmp_path / "home")
    yield made
    made.stop()


def delete_temporal_store(system: SoonishSystem) -> None:
    found = list(system.home.glob("temporal.db*"))
    assert system.home / "temporal.db" in found
    for path in found:
        path.unlink()


def sent_mails(system: SoonishSystem) -> list[tuple[str, str]]:
    return sorted((mail.recipients[0], mail.subject) for mail in system.mails())


def reminder_instants(event: dict[str, Any]) -> dict[str, list[datetime]]:
    """The schedule that an event in two hours has: an hour before (a day before is past)."""
    start = datetime.fromisoformat(event["start_date"])
    return {f"event-{event['id']}-reminder-3600s": [start - timedelta(hours=1)]}


def test_a_deleted_store_is_rebuilt_and_nothing_is_sent_again(
    system: SoonishSystem, http_sink: HttpSink
) -> None:
    system.start()
    organizer, temporal = Person(system, "olga").sign_up(), TemporalView(system)
    member = Person(system, "mike").sign_up()
    events = [organizer.create_event(f"Party {number}") for number in range(3)]
    guest = new_address()
    for event in events:
        subscribe_anonymously(system, event, guest)
    member.add_channel(http_sink.apprise_url("/hook"), "chat")
    member.subscribe(events[0], tags=["chat"])
    path = f"/api/events/{events[0]['id']}/reminders"
    member.ask("PUT", path, json={"offset_seconds": [1800]}, expect=200)
    organizer.ask("DELETE", f"/api/events/{events[2]['id']}", expect=204)
    told = organizer.notify(events[0], "See you there")
    assert wait_until_settled(organizer, events[0], told["notification_id"]) == {"sent": 2}
    wait_for(lambda: f"{events[2]['name']} is cancelled" in titles(system, guest), 20)
    live = {event["temporal_workflow_id"] for event in events[:2]}
    schedules = wait_for(lambda: schedules_of(temporal, 3), 20, "the schedules")
    system.stop()
    before, posts = sent_mails(system), len(http_sink.requests)

    delete_temporal_store(system)
    system.start()
    started = time.monotonic()
    wait_for(lambda: live <= set(temporal.running()), WITHIN_SECONDS, "the workflows")
    wait_for(lambda: schedules_of(temporal, 3) == schedules, WITHIN_SECONDS, "the schedules")
    assert time.monotonic() - started < WITHIN_SECONDS
    assert events[2]["temporal_workflow_id"] not in temporal.running()
    assert sent_mails(system) == before
    # and it lives: a new message comes after everything that could have been sent again
    told = organizer.notify(events[0], "Still on")
    assert wait_until_settled(organizer, events[0], told["notification_id"]) == {"sent": 2}
    assert len(http_sink.requests) == posts + 1
    assert sent_mails(system) == sorted([*before, (guest, "Still on")])


def schedules_of(temporal: TemporalView, count: int) -> dict[str, list[datetime]]:
    """All schedules of events, once there are so many."""
    found = temporal.schedules("event-")
    return found if len(found) == count else {}


def titles(system: SoonishSystem, address: str) -> list[str]:
    return [mail.subject for mail in system.mails_to(address)]


def test_a_stop_in_the_middle_loses_nothing(system: SoonishSystem) -> None:
    """SIGTERM while a broadcast is under way and work has just been accepted."""
    with serve_http() as sink:
        sink.default = Reply(delay=0.4)
        system.start()
        organizer = Person(system, "olga").sign_up()
        people = [Person(system, f"member{number}").sign_up() for number in range(3)]
        event = organizer.create_event("Regatta")
        for person in people:
            for number in range(8):
                path = f"/{person.name}/{number}"
                person.add_channel(sink.apprise_url(path), "all", name=f"Hook {number}")
            person.subscribe(event, tags=["all"])
        sink.wait_for(24, seconds=30)
        told = organizer.notify(event, "Under way")
        sink.wait_for(25, seconds=30)
        guest = new_address()
        subscribe_anonymously(system, event, guest)
        late = organizer.notify(event, "Just accepted")
        assert system.stop() < 18
        assert "Traceback" not in system.output

        system.start()
        assert wait_until_settled(organizer, event, told["notification_id"]) == {"sent": 24}
        assert wait_until_settled(organizer, event, late["notification_id"]) == {"sent": 25}
        wait_for(lambda: len(titles(system, guest)) == 2, 20, "the guest's mails")
        assert sorted(titles(system, guest)) == ["Just accepted", "You're subscribed to Regatta"]
        for title in ("You're subscribed to Regatta", "Under way", "Just accepted"):
            got = [r.path for r in sink.requests if r.json()["title"] == title]
            assert len(got) == len(set(got)) == 24, title
