"""The home of an older version is started by this one: all that was open in it is done, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.e2e.older_home import HOMES, OlderHome, unpack
from tests.e2e.people import Person, wait_until_settled
from tests.e2e.temporal_view import TemporalView
from tests.support.http_sink import HttpSink, serve_http
from tests.support.system import SoonishSystem, links
from tests.support.wait import wait_for

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]
WITHIN_SECONDS = 300.0  # a minute, because of what a dead worker held; and a busy machine

# What the older version had accepted, or begun, and not done.
MAILS = [
    ("olga", "Your event Street fair is ready"),
    ("vera", "Confirm your email address"),
    ("hana", "You're subscribed to Regatta"),
    ("hana", "Bring a chair"),
    ("gina", "Bring a chair"),
    ("nora", "Bring a chair"),
    ("nora", "Regatta starts in"),  # a remind-me that came due while nothing ran
    ("gina", "Market has changed"),
    ("uwe", "You're unsubscribed from Market"),
    ("gina", "Picnic is cancelled"),
    ("rita", "Doors at eight"),  # her mail server had asked for another try
    ("sam", "Seat plan"),  # the process was killed while it was being sent
]
POSTS = [("/mike", "Bring a chair")]
OPEN_STATES = ("pending", "sending", "retrying")
STARTS = {
    "Regatta": "2090-06-03T10:00:00Z",
    "Council": "2090-03-01T18:00:00Z",
    "Market": "2090-08-01T09:00:00Z",  # moved, and not yet told to Temporal
    **dict.fromkeys(("Concert", "Rehearsal", "Parade", "Street fair"), "2090-07-01T12:00:00Z"),
}


@dataclass(frozen=True)
class Came:
    """What there was when all that was open had been done, before any test did more."""

    mails: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    posts: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    first_runs: dict[str, str] = field(default_factory=dict[str, str])


class Restarted:
    """The present system in the older home, what it has sent, and its people."""

    def __init__(self, home: OlderHome, system: SoonishSystem, hooks: HttpSink) -> None:
        self.home, self.system, self.hooks = home, system, hooks
        self.temporal = TemporalView(system)
        self.olga = self.member("olga")
        self.came = Came()

    def member(self, name: str) -> Person:
        """Somebody of the older home, signed in with the password of then."""
        person = Person(self.system, name)
        person.address = f"{name}@example.org"
        body = {"email": person.address, "password": self.home.notes["password"]}
        answer = person.ask("POST", "/api/auth/login", json=body, expect=200)
        person.token = answer["access_token"]
        return person

    def path(self, event: str) -> str:
        return f"/api/events/{self.home.event(event)['id']}"

    def mails(self) -> Counter[tuple[str, str]]:
        """Name and subject of every mail since the start; distances in time are cut off."""
        new = [mail for mail in self.system.mails() if mail.name not in self.home.mails]
        assert all(len(mail.recipients) == 1 for mail in new)
        return Counter((mail.recipients[0].partition("@")[0], cut(mail.subject)) for mail in new)

    def has_new_mails(self, count: int) -> bool:
        names = {path.name for path in self.home.path.glob("mail/*.eml")}
        return len(names - self.home.mails) >= count

    def posts(self) -> Counter[tuple[str, str]]:
        return Counter((post.path, post.json()["title"]) for post in list(self.hooks.requests))

    def notifications(self, event: str) -> list[dict[str, Any]]:
        return self.olga.ask("GET", f"{self.path(event)}/notifications?limit=200")["items"]

    def is_settled(self, *events: str) -> bool:
        """Whether nothing more can come about these events."""
        found = [one["counts"] for event in events for one in self.notifications(event)]
        return not any(counts[state] for counts in found for state in OPEN_STATES)

    def mailed_token(self, name: str, subject: str, link: str) -> str:
        mail = self.system.wait_for_mail(f"{name}@example.org", subject)
        return links(mail, link)[0].rpartition("/")[2]


def cut(subject: str) -> str:
    start, found, _ = subject.partition(" starts in")
    return start + found


@pytest.fixture(scope="module", params=HOMES, ids=[path.name for path in HOMES])
def restarted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Restarted]:
    with serve_http() as hooks:
        home = unpack(request.param, tmp_path_factory.mktemp("older"), hooks.port)
        system = SoonishSystem(home.path)
        system.start(wait=False)
        try:
            system.wait_until_ready(WITHIN_SECONDS)
            yield Restarted(home, system, hooks)
        finally:
            system.stop()


@pytest.fixture(scope="module")
def done(restarted: Restarted) -> Restarted:
    """Everything that was open has come; what waits for a channel waits on."""
    wait_for(lambda: restarted.has_new_mails(len(MAILS)), WITHIN_SECONDS, "the mails")
    restarted.hooks.wait_for(len(POSTS), seconds=WITHIN_SECONDS)
    events = ("Regatta", "Council", "Market", "Picnic", "Concert", "Street fair")
    wait_for(lambda: restarted.is_settled(*events), WITHIN_SECONDS, "all deliveries to be settled")
    begun = restarted.home.notes["first_runs"]
    first_runs = {one: restarted.temporal.first_run_id(one) for one in begun}
    restarted.came = Came(restarted.mails(), restarted.posts(), first_runs)
    return restarted


def test_its_schema_is_the_newest_and_all_is_well(restarted: Restarted) -> None:
    checked = restarted.system.cli("db", "check")
    assert checked.returncode == 0, checked.stderr

    def is_well() -> bool:
        return restarted.olga.ask("GET", "/api/health", expect=200)["status"] == "ok"

    wait_for(is_well, WITHIN_SECONDS, "all parts to be well")


def test_what_was_open_has_come_once_and_nothing_else(done: Restarted) -> None:
    assert done.came.mails == Counter(MAILS)
    assert done.came.posts == Counter(POSTS)


def test_a_channel_that_is_switched_on_gets_what_waited_for_it(done: Restarted) -> None:
    dora = done.member("dora")
    (channel,) = dora.ask("GET", "/api/integrations")["items"]
    dora.ask("PATCH", f"/api/integrations/{channel['id']}", json={"is_active": True}, expect=200)
    wait_for(lambda: done.is_settled("Parade"), WITHIN_SECONDS, "the parade to be told")
    assert done.posts()["/dora", "Line up"] == 1


def test_a_failed_delivery_can_be_tried_again(done: Restarted) -> None:
    (told,) = (one for one in done.notifications("Concert") if one["title"] == "Doors at eight")
    assert {state: n for state, n in told["counts"].items() if n} == {"sent": 1, "failed": 1}
    retry = f"{done.path('Concert')}/notifications/{told['id']}/retry"
    assert done.olga.ask("POST", retry, expect=202)["retried"] == 1
    wait_for(lambda: done.is_settled("Concert"), WITHIN_SECONDS, "the second try")
    assert [done.mails()[name, "Doors at eight"] for name in ("fred", "rita")] == [1, 1]


def test_a_failing_channel_keeps_its_url_and_its_circuit(done: Restarted) -> None:
    mona = done.member("mona")

    def is_open() -> bool:
        (channel,) = mona.ask("GET", "/api/integrations")["items"]
        return channel["circuit"] == "open"

    wait_for(is_open, WITHIN_SECONDS, "the probe of the circuit to fail")
    (channel,) = mona.ask("GET", "/api/integrations")["items"]
    tested = mona.ask("POST", f"/api/integrations/{channel['id']}/test", expect=200)
    assert (tested["ok"], tested["outcome"]) == (False, "connection")


def test_what_was_handed_out_to_sign_in_still_does(done: Restarted) -> None:
    token = {"Authorization": f"Bearer {done.home.notes['api_token']}"}
    own = Person(done.system, "script").ask("GET", "/api/users/me", headers=token, expect=200)
    assert own["email"] == done.olga.address
    body = {"token": done.home.notes["verification"], "password": done.home.notes["password"]}
    Person(done.system, "walt").ask("POST", "/api/auth/verify", json=body, expect=200)
    assert done.member("walt").ask("GET", "/api/users/me")["email"] == "walt@example.org"


def test_links_in_old_mails_still_work(done: Restarted) -> None:
    old = done.mailed_token("gina", "You're subscribed to Regatta", "/manage/")
    manage = done.home.aged_link("manage", old)
    page = httpx2.get(f"{done.system.base_url}/manage/{manage}", timeout=30)
    assert page.status_code == 200
    assert "Regatta" in page.text
    headers = {"X-Manage-Token": manage}
    gina = Person(done.system, "gina")
    gina.ask("GET", f"{done.path('Regatta')}/subscribe", headers=headers, expect=200)
    old = done.mailed_token("sam", "You're subscribed to Concert", "/u/")
    unsubscribe = f"{done.system.base_url}/u/{done.home.aged_link('unsubscribe', old)}"
    assert httpx2.post(unsubscribe, timeout=30).status_code == 200
    done.system.wait_for_mail("sam@example.org", "You're unsubscribed", WITHIN_SECONDS)


def test_an_invitation_still_lets_somebody_in(done: Restarted) -> None:
    ines, invitation = Person(done.system, "ines"), done.home.notes["invitation"]
    ines.ask("GET", done.path("Council"), expect=404)
    ines.ask("GET", f"{done.path('Council')}?invitation={invitation}", expect=200)
    body = {"email": "ines@example.org", "invitation": invitation}
    ines.ask("POST", f"{done.path('Council')}/subscribe", json=body, expect=201)
    welcome = "You're subscribed to Council"
    done.system.wait_for_mail("ines@example.org", welcome, WITHIN_SECONDS)


def test_reminders_are_armed_as_they_should_be(done: Restarted) -> None:
    """Those of before, moved ones, new ones; none of the event that was cancelled."""

    def armed() -> dict[str, datetime]:
        found = done.temporal.schedules("event-")
        return {name: instants[0] for name, instants in found.items() if instants}

    wait_for(lambda: armed() == reminders(done), WITHIN_SECONDS, "the schedules")


def reminders(done: Restarted) -> dict[str, datetime]:
    wanted = {
        f"event-{done.home.event(name)['id']}-reminder-{offset}s": before(start, offset)
        for name, start in STARTS.items()
        for offset in (86_400, 3_600)
    }
    regatta = done.home.event("Regatta")
    nora = done.olga.subscription_ids(regatta)["nora@example.org"]
    own = f"event-{regatta['id']}-sub-{nora}"
    return wanted | {
        f"{own}-reminder-604800s": before(STARTS["Regatta"], 604_800),
        f"{own}-reminder-900s": before(STARTS["Regatta"], 900),
        f"{own}-end-reminder-1800s": datetime.fromisoformat("2090-06-03T15:30:00Z"),
        f"{own}-countdown": datetime.fromisoformat("2090-05-04T10:00:00Z"),
    }


def before(start: str, seconds: int) -> datetime:
    return datetime.fromisoformat(start) - timedelta(seconds=seconds)


def test_what_an_old_schedule_starts_is_understood(done: Restarted) -> None:
    """Decades too early it sends nothing, but it comes to a good end."""
    schedule = f"event-{done.home.event('Council')['id']}-reminder-86400s"
    done.temporal.trigger(schedule)
    started = wait_for(lambda: done.temporal.started_by(schedule), WITHIN_SECONDS, "the workflow")
    completed = [WorkflowExecutionStatus.COMPLETED]
    wait_for(lambda: [done.temporal.status(one) for one in started] == completed, WITHIN_SECONDS)


def test_workflows_of_the_older_version_go_on(done: Restarted) -> None:
    """Each is replayed for a signal; none was put to an end and begun anew."""
    assert done.came.first_runs == done.home.notes["first_runs"]
    for workflow_id in list(filter(done.temporal.wake, done.came.first_runs)):
        wait_until_heard(done, workflow_id)
    council = done.home.event("Council")
    told = done.olga.notify(council, "Agenda")
    settled = wait_until_settled(done.olga, council, told["notification_id"], WITHIN_SECONDS)
    assert settled == {"sent": told["audience"]}
    assert done.mails()["ivan", "Agenda"] == 1
    assert {*done.mails().values(), *done.posts().values()} == {1}


def wait_until_heard(done: Restarted, workflow_id: str) -> None:
    """Wait until it acted after the last signal; a run that began since then did."""

    def has_acted() -> bool:
        events = " ".join(done.temporal.event_types(workflow_id))
        return "WorkflowTaskCompleted" in events.rpartition("WorkflowExecutionSignaled")[2]

    wait_for(has_acted, WITHIN_SECONDS, f"{workflow_id} to act")
