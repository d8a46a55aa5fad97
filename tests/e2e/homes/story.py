"""What people do in a home that is to be kept: a usual day, then one in which much goes wrong.

Every event is in 2090, so that it stays upcoming; the people have made-up addresses.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.people import PASSWORD, Person, subscribe_anonymously
from tests.e2e.temporal_view import TemporalView
from tests.support.http_sink import HttpSink
from tests.support.ports import free_port
from tests.support.smtp_sink import SmtpSink
from tests.support.system import SoonishSystem, links
from tests.support.wait import wait_for

MEMBERS = ("olga", "mike", "nora", "dora", "mona")
REGATTA = {
    "name": "Regatta",
    "start_date": "2090-06-03T10:00:00Z",
    "end_date": "2090-06-03T16:00:00Z",
    "timezone": "Europe/Berlin",
    "location": "Harbour",
}
COUNCIL = {"name": "Council", "start_date": "2090-03-01T18:00:00Z", "is_public": False}
OTHERS = ("Market", "Picnic", "Concert", "Rehearsal", "Parade")
DAY = 86_400
PATIENCE = 240.0  # seconds for everything that is waited for
UNUSED_PORT = 1  # of loopback: nothing listens there
BY_MAIL = {
    "gina": ("Regatta", "Market", "Picnic"),
    "uwe": ("Market",),
    "rita": ("Concert",),
    "fred": ("Concert",),
    "sam": ("Concert",),
}


def address(name: str) -> str:
    return f"{name}@example.org"


class Story:
    """The people and events of one home, which several systems run one after the other."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.people: dict[str, Person] = {}
        self.events: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, str] = {}
        self.first_runs: dict[str, str] = {}  # of the workflows that run, by their ids

    def sign_in_to(self, system: SoonishSystem) -> None:
        """Let everybody use this system from now on."""
        for person in self.people.values():
            person.system = system
            body = {"email": person.address, "password": PASSWORD}
            person.token = person.ask("POST", "/api/auth/login", json=body)["access_token"]

    def create(self, **fields: Any) -> None:
        self.events[fields["name"]] = self.people["olga"].create_event(**fields)

    def notify(self, event: str, title: str, *, only: Iterable[str] = ()) -> dict[str, Any]:
        """Send to everybody, or to `only` these names."""
        olga, about = self.people["olga"], self.events[event]
        ids = olga.subscription_ids(about) if only else {}
        chosen = {"subscription_ids": [ids[address(name)] for name in only]} if only else {}
        return olga.notify(about, title, **chosen)

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database of the home, which may be in use."""
        with contextlib.closing(sqlite3.connect(self.home / "soonish.db", timeout=30)) as database:
            return database.execute(statement, values).fetchall()

    def count(self, what: str) -> int:
        return self.query(f"SELECT count(*) FROM {what}")[0][0]  # noqa: S608 - our own words

    def states(self, title: str) -> dict[str, int]:
        """The deliveries of the messages with this title, by state."""
        found = self.query(
            "SELECT d.state, count(*) FROM deliveries d JOIN notifications n"
            " ON n.id = d.notification_id WHERE n.title = ? GROUP BY 1",
            title,
        )
        return dict(found)


@contextlib.contextmanager
def started(story: Story, **settings: str) -> Generator[SoonishSystem]:
    """The whole system in the home, with everybody signed in to it."""
    system = SoonishSystem(story.home, **settings)
    system.start(wait=False)
    try:
        system.wait_until_ready(PATIENCE)
        story.sign_in_to(system)
        yield system
    finally:
        system.stop()


# a usual day


def usual_day(story: Story, hooks: HttpSink) -> None:
    with started(story) as system:
        for name in MEMBERS:
            sign_up(story, system, name)
        for fields in (REGATTA, COUNCIL, *map(in_summer, OTHERS)):
            story.create(**fields)
        subscribe_by_mail(story, system)
        subscribe_with_channels(story, hooks)
        choose_reminders(story)
        invite(story, system)
        keep_secrets(story, system)
        story.notify("Regatta", "Course map")
        story.notify("Parade", "Line up")
        let_a_channel_fail(story)
        wait_for(lambda: is_quiet(story), PATIENCE, "everything else to be done")


def in_summer(name: str) -> dict[str, Any]:
    return {"name": name, "start_date": "2090-07-01T12:00:00Z"}


def sign_up(story: Story, system: SoonishSystem, name: str) -> None:
    person = story.people[name] = register(system, name)
    body = {"token": mailed_token(person), "password": PASSWORD}
    person.token = person.ask("POST", "/api/auth/verify", json=body)["access_token"]


def register(system: SoonishSystem, name: str) -> Person:
    """Somebody who has not clicked the link in the mail."""
    person = Person(system, name)
    person.address = address(name)
    body = {"email": person.address, "password": PASSWORD, "name": name.capitalize()}
    person.ask("POST", "/api/auth/register", json=body, expect=202)
    return person


def mailed_token(person: Person) -> str:
    mail = person.system.wait_for_mail(person.address, "Confirm", PATIENCE)
    return links(mail, "/verify?token=")[0].partition("token=")[2]


def subscribe_by_mail(story: Story, system: SoonishSystem) -> None:
    for name, events in BY_MAIL.items():
        for event in events:
            subscribe_anonymously(system, story.events[event], address(name))


def subscribe_with_channels(story: Story, hooks: HttpSink) -> None:
    """Mike's works, dora's is switched off, mona's leads nowhere; nora has none."""
    mike, nora, dora, mona = (story.people[name] for name in MEMBERS[1:])
    mike.add_channel(hooks.apprise_url("/mike"), "chat")
    mike.subscribe(story.events["Regatta"], tags=["chat"])
    nora.subscribe(story.events["Regatta"])
    channel = dora.add_channel(hooks.apprise_url("/dora"), "chat")
    dora.subscribe(story.events["Parade"], integration_ids=[channel])
    hooks.wait_for(2, seconds=PATIENCE)  # their welcomes
    dora.ask("PATCH", f"/api/integrations/{channel}", json={"is_active": False})
    mona.add_channel(f"json://127.0.0.1:{UNUSED_PORT}/mona", "chat")
    mona.subscribe(story.events["Rehearsal"], tags=["chat"])


def choose_reminders(story: Story) -> None:
    path = f"/api/events/{story.events['Regatta']['id']}"
    chosen = {
        "offset_seconds": [7 * DAY, 900],
        "end_offset_seconds": [1800],
        "countdown": {"every_seconds": DAY, "from_seconds": 30 * DAY},
    }
    story.people["nora"].ask("PUT", f"{path}/reminders", json=chosen, expect=200)
    far = {"in_seconds": 364 * DAY}
    story.people["nora"].ask("POST", f"{path}/remind-me", json=far, expect=202)


def invite(story: Story, system: SoonishSystem) -> None:
    """Ivan uses the link of his mail; the link to pass on stays unused."""
    event = story.events["Council"]
    path = f"/api/events/{event['id']}/invitations"
    olga = story.people["olga"]
    olga.ask("POST", path, json={"emails": [address("ivan")]}, expect=201)
    mailed = links(system.wait_for_mail(address("ivan"), seconds=PATIENCE), "invitation=")[0]
    body = {"email": address("ivan"), "invitation": mailed.partition("invitation=")[2]}
    olga.ask("POST", f"/api/events/{event['id']}/subscribe", json=body, expect=201)
    made = olga.ask("POST", path, json={}, expect=201)
    story.secrets["invitation"] = made["url"].partition("invitation=")[2]


def keep_secrets(story: Story, system: SoonishSystem) -> None:
    """An API token; walt registers and does not click."""
    body = {"name": "Script", "scope": "read"}
    made = story.people["olga"].ask("POST", "/api/users/me/tokens", json=body, expect=201)
    story.secrets["api_token"] = made["token"]
    story.secrets["verification"] = mailed_token(register(system, "walt"))


def let_a_channel_fail(story: Story) -> None:
    """Five failures in a row, so that its circuit opens and what is sent over it waits."""
    for number in range(5):
        story.notify("Rehearsal", f"Try {number}")
    mona = story.people["mona"]

    def is_open() -> bool:
        return mona.ask("GET", "/api/integrations")["items"][0]["circuit"] == "open"

    wait_for(is_open, PATIENCE, "the circuit to open")


def is_quiet(story: Story) -> bool:
    """Whether nothing is to be done but what waits for a channel."""
    undone = story.count("outbox WHERE done_at IS NULL")
    unarmed = story.count("reminders WHERE armed_at IS NULL")
    waiting = story.count("deliveries WHERE target_key = 'mail' AND state != 'sent'")
    return not undone and not unarmed and not waiting


# a mail server in trouble


def bad_mail_server(story: Story, mails: SmtpSink) -> None:
    """It puts rita off, refuses fred, and hangs over sam's mail; then the power goes."""
    mails.refuse = {address("rita"): "451 Later", address("fred"): "550 Nobody here"}
    settings = {"SMTP_SERVER": "127.0.0.1", "SMTP_PORT": str(mails.port), "SMTP_SECURITY": "none"}
    with started(story, **settings) as system:
        story.notify("Concert", "Doors at eight", only=["rita", "fred"])
        settled = {"retrying": 1, "failed": 1}
        wait_for(lambda: story.states("Doors at eight") == settled, PATIENCE, str(settled))
        remind_soon(story, system)
        mails.delay = 3600.0
        story.notify("Concert", "Seat plan", only=["sam"])
        hangs = {"sending": 1}
        wait_for(lambda: story.states("Seat plan") == hangs, PATIENCE, "sam's mail to hang")
        view = TemporalView(system)
        story.first_runs = {one: view.first_run_id(one) for one in view.running()}
        system.kill()


def remind_soon(story: Story, system: SoonishSystem) -> None:
    """A remind-me that Temporal knows, and that comes due while nothing runs."""
    path = f"/api/events/{story.events['Regatta']['id']}/remind-me"
    made = story.people["nora"].ask("POST", path, json={"in_seconds": 180}, expect=202)
    view, workflow_id = TemporalView(system), f"remind-me-{made['id']}"
    wait_for(lambda: "TimerStarted" in view.event_types(workflow_id), PATIENCE, "its timer")


# without Temporal


def left_open(story: Story) -> None:
    """Everything that is accepted here is still in the outbox when the system stops."""
    system = SoonishSystem(story.home, TEMPORAL_URL=f"127.0.0.1:{free_port()}")
    system.start(wait=False)
    try:
        is_up = "API is ready"
        wait_for(lambda: is_up in system.output, PATIENCE, is_up)
        story.sign_in_to(system)
        leave_work(story, system)
    finally:
        system.stop()


def leave_work(story: Story, system: SoonishSystem) -> None:
    olga, market, picnic = (story.people["olga"], story.events["Market"], story.events["Picnic"])
    leave(system, "uwe")
    subscribe_anonymously(system, story.events["Regatta"], address("hana"))
    story.notify("Regatta", "Bring a chair")
    moved = {"start_date": "2090-08-01T09:00:00Z", "location": "Town hall"}
    olga.ask("PATCH", f"/api/events/{market['id']}", json=moved, expect=200)
    olga.ask("DELETE", f"/api/events/{picnic['id']}", expect=204)
    story.create(**in_summer("Street fair"))
    register(system, "vera")


def leave(system: SoonishSystem, name: str) -> None:
    link = links(system.wait_for_mail(address(name), seconds=PATIENCE), "/u/")[0]
    path = "/u/" + link.rpartition("/")[2]
    answer = httpx2.post(system.base_url + path, timeout=15)
    assert answer.status_code == 200, answer.text
