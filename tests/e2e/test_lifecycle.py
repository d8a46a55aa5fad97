"""An event from its announcement to its cancellation, tried from outside only."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from temporalio.client import WorkflowExecutionStatus

from soonish.local.caught_mail import read_mail
from tests.e2e.people import Person, instant, new_address, subscribe_anonymously, z
from tests.e2e.temporal_view import TemporalView
from tests.support.http_sink import HttpSink, ReceivedRequest, serve_http
from tests.support.system import SoonishSystem, links
from tests.support.wait import wait_for

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]


@dataclass
class Stage:
    """An organizer's event in two hours, an anonymous guest, a member with a webhook."""

    system: SoonishSystem
    temporal: TemporalView
    sink: HttpSink
    organizer: Person
    member: Person
    guest: str
    event: dict[str, Any]
    hook: str = "/hook"
    member_channel: int = 0
    _known: dict[str, int] = field(default_factory=dict[str, int])

    def posts(self) -> list[ReceivedRequest]:
        return self.sink.at(self.hook)

    def titles(self) -> list[str]:
        """Titles of what the member's webhook got, in order."""
        return [post.json()["title"] for post in self.posts()]

    def guest_subjects(self) -> list[str]:
        return [mail.subject for mail in self.system.mails_to(self.guest)][::-1]

    def both_have(self, title: str, seconds: float = 20.0) -> None:
        self.guest_has(title, seconds)
        wait_for(lambda: title in self.titles(), seconds, f"a POST titled {title!r}")

    def guest_has(self, title: str, seconds: float = 20.0) -> None:
        wait_for(lambda: title in self.guest_subjects(), seconds, f"a mail titled {title!r}")

    def nothing_is_open(self) -> None:
        """Wait until every delivery of the event has come to its end, so nothing more will come."""

        def settled() -> bool:
            kinds = self.organizer.counts_by_kind(self.event).values()
            return not any({"pending", "sending", "retrying"} & counts.keys() for counts in kinds)

        wait_for(settled, 20, "all deliveries to be settled")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[SoonishSystem]:
    with SoonishSystem(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def sink() -> Generator[HttpSink]:
    with serve_http() as serving:
        yield serving


@pytest.fixture(scope="module")
def organizer(system: SoonishSystem) -> Person:
    return Person(system, "olga").sign_up()


@pytest.fixture(scope="module")
def member(system: SoonishSystem) -> Person:
    return Person(system, "mike").sign_up()


@pytest.fixture
def stage(system: SoonishSystem, sink: HttpSink, organizer: Person, member: Person) -> Stage:
    """Everybody is subscribed and welcomed."""
    made = announce(system, sink, organizer, member)
    subscribe_anonymously(system, made.event, made.guest)
    made.member.subscribe(made.event, integration_ids=[made.member_channel])
    made.both_have(f"You're subscribed to {made.event['name']}")
    return made


def announce(
    system: SoonishSystem, sink: HttpSink, organizer: Person, member: Person, **fields: Any
) -> Stage:
    """The event and the channel, without subscriptions."""
    guest = new_address()
    key = guest.partition("@")[0]
    event = organizer.create_event(f"Garden party {key}", **fields)
    hook = f"/{key}"
    channel = member.add_channel(sink.apprise_url(hook), tag=f"tag-{key}")
    view = TemporalView(system)
    return Stage(system, view, sink, organizer, member, guest, event, hook, channel)


def test_the_organizer_gets_the_creation_notice(
    system: SoonishSystem, organizer: Person, sink: HttpSink, member: Person
) -> None:
    made = announce(system, sink, organizer, member)
    title = f"Your event {made.event['name']} is ready"
    system.wait_for_mail(organizer.address, title)
    assert organizer.subjects().count(title) == 1
    status = f"/api/events/{made.event['id']}/workflow/status"
    wait_for(lambda: organizer.ask("GET", status)["status"] == "running", 10)


def test_an_anonymous_address_is_welcomed_once(
    system: SoonishSystem, sink: HttpSink, organizer: Person, member: Person
) -> None:
    made = announce(system, sink, organizer, member, location="The old mill")
    for _ in range(3):
        subscribe_anonymously(system, made.event, made.guest)
    made.guest_has(f"You're subscribed to {made.event['name']}")
    made.nothing_is_open()
    (mail,) = system.mails_to(made.guest)
    read = read_mail(system.home, mail.name)
    headers = {name.lower(): value for name, value in read.headers}
    assert headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert headers["list-unsubscribe"].startswith(f"<{system.base_url}/u/")
    assert "The old mill" in read.text
    assert "The old mill" in read.html


def test_both_selectors_at_one_url_are_one_post(
    system: SoonishSystem, sink: HttpSink, organizer: Person, member: Person
) -> None:
    made = announce(system, sink, organizer, member)
    tag = f"tag-{made.hook[1:]}"
    member.add_channel(sink.apprise_url(made.hook), tag=f"{tag}-too")
    own = member.subscribe(made.event, integration_ids=[made.member_channel], tags=[f"{tag}-too"])
    assert len(own["selectors"]) == 2
    sink.wait_for(1, made.hook)
    told = organizer.notify(made.event, "Doors open at seven")
    assert told["audience"] == 1
    wait_for(lambda: "Doors open at seven" in made.titles(), 20)
    made.nothing_is_open()
    expected = [f"You're subscribed to {made.event['name']}", "Doors open at seven"]
    assert made.titles() == expected


def test_a_message_with_the_same_key_is_sent_once(stage: Stage) -> None:
    first = stage.organizer.notify(stage.event, "Bring a chair", key="once")
    again = stage.organizer.notify(stage.event, "Bring a chair", key="once")
    assert first == again
    assert first["audience"] == 2
    stage.both_have("Bring a chair")
    stage.nothing_is_open()
    assert stage.titles().count("Bring a chair") == 1
    assert stage.guest_subjects().count("Bring a chair") == 1
    body = {"title": "Something else", "body": "x"}
    path = f"/api/events/{stage.event['id']}/notify"
    refused = stage.organizer.ask(
        "POST", path, json=body, headers={"Idempotency-Key": "once"}, expect=409
    )
    assert refused["code"] == "idempotency_key_reused"


def test_a_message_to_some_reaches_only_them(stage: Stage) -> None:
    ids = stage.organizer.subscription_ids(stage.event)
    told = stage.organizer.notify(
        stage.event, "For the guest only", subscription_ids=[ids[stage.guest]]
    )
    assert told["audience"] == 1
    stage.guest_has("For the guest only")
    stage.nothing_is_open()
    assert "For the guest only" not in stage.titles()


def test_a_change_tells_old_and_new_and_moves_the_schedules(stage: Stage) -> None:
    old_start = datetime.fromisoformat(stage.event["start_date"])
    prefix = f"event-{stage.event['id']}-reminder-3600s"
    due = old_start - timedelta(hours=1)
    wait_for(lambda: stage.temporal.schedules(prefix) == {prefix: [due]}, 20, "the old schedule")
    new_start = old_start + timedelta(hours=5)
    new_name = f"{stage.event['name']} outdoors"
    body = {"name": new_name, "start_date": z(new_start)}
    stage.organizer.ask("PATCH", f"/api/events/{stage.event['id']}", json=body, expect=200)
    title = f"{new_name} has changed"
    stage.both_have(title)
    post = next(p for p in stage.posts() if p.json()["title"] == title)
    mail = stage.system.wait_for_mail(stage.guest, title)
    for text in (post.json()["message"], mail.text, mail.html):
        assert stage.event["name"] in text
        assert new_name in text
        assert f"{old_start:%H:%M}" in text or f"{old_start:%-I:%M}" in text
        assert f"{new_start:%H:%M}" in text or f"{new_start:%-I:%M}" in text
    moved = {prefix: [due + timedelta(hours=5)]}
    wait_for(lambda: stage.temporal.schedules(prefix) == moved, 20, "the schedule to move")


def test_a_personal_reminder_comes_in_time_for_its_owner_alone(stage: Stage) -> None:
    start = datetime.fromisoformat(stage.event["start_date"])
    due = instant(seconds=8)
    offset = int((start - due).total_seconds())
    path = f"/api/events/{stage.event['id']}/reminders"
    stage.member.ask("PUT", path, json={"offset_seconds": [offset]}, expect=200)

    def reminders() -> list[ReceivedRequest]:
        return [post for post in stage.posts() if "starts in" in post.json()["title"]]

    seen = wait_for(reminders, 20, "the reminder")
    late = instant_of(seen[0]) - due.timestamp()
    assert 0 <= late <= 3, f"{late} s late"
    stage.nothing_is_open()
    assert len(reminders()) == 1
    assert not any("starts in" in subject for subject in stage.guest_subjects())


def instant_of(request: ReceivedRequest) -> float:
    """Seconds since 1970 at which a request came."""
    return time.time() - (time.monotonic() - request.at)


def test_a_cancellation_tells_everybody_and_ends_everything(stage: Stage) -> None:
    workflow_id, prefix = stage.event["temporal_workflow_id"], f"event-{stage.event['id']}-"
    wait_for(lambda: stage.temporal.schedules(prefix), 20, "its schedules")
    path = f"/api/events/{stage.event['id']}"
    assert stage.organizer.ask("DELETE", path, expect=204) is None
    stage.organizer.ask("DELETE", path, expect=204)
    stage.both_have(f"{stage.event['name']} is cancelled")
    wait_for(lambda: not stage.temporal.schedules(prefix), 20, "the schedules to go")
    completed = WorkflowExecutionStatus.COMPLETED
    wait_for(lambda: stage.temporal.status(workflow_id) is completed, 20, "the workflow's end")
    refused = stage.organizer.ask(
        "POST", f"{path}/notify", json={"title": "Too late", "body": "x"}, expect=409
    )
    assert refused["code"] == "event_cancelled"
    stage.nothing_is_open()
    name = stage.event["name"]
    expected = [f"You're subscribed to {name}", f"{name} is cancelled"]
    assert stage.titles() == expected
    assert stage.guest_subjects() == expected


def test_an_address_that_left_hears_one_confirmation_and_nothing_more(stage: Stage) -> None:
    name = stage.event["name"]
    welcome = stage.system.wait_for_mail(stage.guest, "You're subscribed")
    url = links(welcome, "/u/")[0]
    for _ in range(2):
        page = httpx2.get(url, timeout=15)
        assert page.status_code == 200
        assert "set-cookie" not in page.headers
    assert stage.guest in stage.organizer.subscription_ids(stage.event)
    for _ in range(2):
        answer = httpx2.post(url, data={"List-Unsubscribe": "One-Click"}, timeout=15)
        assert answer.status_code == 200
    stage.guest_has(f"You're unsubscribed from {name}")
    stage.organizer.notify(stage.event, "After you left")
    body = {"location": "Elsewhere"}
    stage.organizer.ask("PATCH", f"/api/events/{stage.event['id']}", json=body, expect=200)
    wait_for(lambda: f"{name} has changed" in stage.titles(), 20)
    stage.nothing_is_open()
    assert stage.guest_subjects() == [
        f"You're subscribed to {name}",
        f"You're unsubscribed from {name}",
    ]
    assert stage.guest not in stage.organizer.subscription_ids(stage.event)
