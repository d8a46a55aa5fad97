"""What must stay secret is planted, everything is used, and then looked for everywhere."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.people import PASSWORD, Person, subscribe_anonymously, wait_until_settled
from tests.e2e.secret_account import use_account
from tests.e2e.temporal_view import TemporalView
from tests.support.http_sink import HttpSink, Reply
from tests.support.ports import free_port
from tests.support.system import SoonishSystem, links
from tests.support.wait import wait_for

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]
OPERATORS = {
    what: f"mk{secrets.token_hex(8)}"
    for what in ("the client secret of OIDC", "the token of metrics", "the password of Redis")
}
NOT_SEARCHED = ("mail", "secrets.env")  # the caught mails themselves, and what unlocks the rest


@pytest.fixture
def system(tmp_path: Path) -> Generator[SoonishSystem]:
    """At its most talkative, with a provider and a Redis that are away."""
    away = free_port()
    settings = {
        "OIDC_ISSUER": f"http://127.0.0.1:{away}",
        "OIDC_CLIENT_ID": "soonish",
        "OIDC_CLIENT_SECRET": OPERATORS["the client secret of OIDC"],
        "METRICS_TOKEN": OPERATORS["the token of metrics"],
        "REDIS_URL": f"redis://:{OPERATORS['the password of Redis']}@127.0.0.1:{away}/0",
    }
    with SoonishSystem(tmp_path / "home", WORKERS="1", LOG_LEVEL="DEBUG", **settings) as running:
        yield running


class Marked:
    """Markers by what they stand for; those of the operator's settings are there from the start."""

    def __init__(self) -> None:
        self.markers = dict(OPERATORS)

    def secrets(self) -> Marked:
        """Without addresses, which their owners and an event's organizers may see."""
        made = Marked()
        made.markers = {k: v for k, v in self.markers.items() if "address" not in k}
        return made

    def __call__(self, what: str) -> str:
        return self.markers.setdefault(what, f"mk{secrets.token_hex(8)}")


def test_planted_secrets_are_found_nowhere(system: SoonishSystem, http_sink: HttpSink) -> None:
    marked = Marked()
    shown = play(system, http_sink, marked)
    temporal = TemporalView(system).histories()
    assert any("event-" in name for name in temporal)
    found = search(marked, {**temporal, "the log": system.output})
    found |= search(marked.secrets(), shown)
    found |= search(marked, stored(system.home))
    system.stop()
    found |= search(marked, {"the log": system.output}) | search(marked, stored(system.home))
    assert not found
    assert "Traceback" not in system.output
    assert len(marked.markers) >= 30
    assert len(marked.secrets().markers) >= 20


def search(marked: Marked, texts: dict[str, str]) -> set[tuple[str, str]]:
    """Which marker is in which text."""
    return {
        (what, name)
        for what, marker in marked.markers.items()
        for name, text in texts.items()
        if marker in text
    }


def stored(home: Path) -> dict[str, str]:
    """Every file of the home: the databases with their write-ahead logs, and whatever else."""
    paths = [path for path in home.rglob("*") if path.is_file()]
    wanted = [path for path in paths if path.relative_to(home).parts[0] not in NOT_SEARCHED]
    names = {path.name for path in wanted}
    assert {"soonish.db", "temporal.db"} <= names
    return {str(path.relative_to(home)): path.read_bytes().decode("latin-1") for path in wanted}


def play(system: SoonishSystem, sink: HttpSink, marked: Marked) -> dict[str, str]:
    """Channels that work, fail and are refused; addresses that come, are told, and go.

    What the member was shown, by its address.
    """
    organizer = Person(system, "olga")
    organizer.address = f"{marked('organizer address')}@example.org"
    organizer.sign_up()
    marked.markers["bearer token"] = organizer.token
    member = Person(system, "mike")
    member.address = f"{marked('member address')}@example.org"
    member.sign_up()
    add_channels(member, sink, marked)
    event = organizer.create_event("Secret garden")
    member.subscribe(event, tags=["all"])
    guest = f"{marked('guest address')}@example.org"
    subscribe_anonymously(system, event, guest)
    told = organizer.notify(event, "Psst")
    organizer.ask("PATCH", f"/api/events/{event['id']}", json={"location": "Elsewhere"})
    mail = system.wait_for_mail(guest, "Secret garden has changed")
    sink.wait_for(3, f"/{marked('path of the good URL')}", seconds=20)

    def good_ones_are_sent() -> bool:
        return organizer.counts(event, told["notification_id"]).get("sent", 0) == 2

    wait_for(good_ones_are_sent, 20, "the good deliveries")
    follow_links(system, mail, marked)
    shown = use_account(system, member, marked, marked.markers)
    be_refused(system, member, event, marked)
    for path in ("/auth/oidc/login", "/auth/oidc/callback?state=a&code=b"):
        shown[path] = httpx2.get(system.base_url + path, timeout=20).text
    ids = organizer.subscription_ids(event)
    organizer.ask("DELETE", f"/api/events/{event['id']}/subscriptions/{ids[member.address]}")
    system.wait_for_mail(member.address, "You were removed")
    organizer.ask("DELETE", f"/api/events/{event['id']}", expect=204)
    by_kind = organizer.ask("GET", f"/api/events/{event['id']}/notifications")["items"]
    for one in by_kind:
        wait_until_settled(organizer, event, one["id"])
    for page in (f"/events/{event['id']}", f"/e/{event['slug']}"):
        headers = {"Authorization": f"Bearer {organizer.token}"}
        shown[page] = httpx2.get(system.base_url + page, headers=headers, timeout=20).text
    return shown


def add_channels(member: Person, sink: HttpSink, marked: Marked) -> None:
    host = f"127.0.0.1:{sink.port}"
    user, password = marked("user of the good URL"), marked("password of the good URL")
    good = f"json://{user}:{password}@{host}/{marked('path of the good URL')}"
    member.add_channel(good + f"?+X-Key={marked('header of the good URL')}", "all", verify=True)
    broken = marked("path of the failing URL")
    sink.replies[f"/{broken}"] = Reply(500, body=f"no {broken}".encode())
    member.add_channel(f"json://{host}/{broken}", "all", name="Broken", verify=True)
    gone = marked("path of the gone URL")
    sink.replies[f"/{gone}"] = Reply(404, body=gone.encode())
    member.add_channel(f"json://{host}/{gone}", "all", name="Gone")
    closed = f"json://127.0.0.1:{free_port()}/{marked('path of the unreachable URL')}"
    member.add_channel(closed, "all", name="Closed")
    listed = member.ask("GET", "/api/integrations")["items"]
    assert len(listed) == 4
    assert not any(marker in str(listed) for marker in marked.markers.values())


def follow_links(system: SoonishSystem, mail: Any, marked: Marked) -> None:
    """Every link of a mail, as a mail program does; their tokens are secrets too."""
    unsubscribe = links(mail, "/u/")[0]
    manage = links(mail, "/manage/")[0]
    marked.markers["unsubscribe token"] = unsubscribe.rpartition("/")[2]
    marked.markers["manage token"] = manage.rpartition("/")[2]
    for url in (manage, unsubscribe):
        assert httpx2.get(url, timeout=15).status_code == 200
    assert httpx2.post(unsubscribe, timeout=15).status_code == 200
    assert httpx2.get(f"{system.base_url}/u/nonsense", timeout=15).status_code < 500


def be_refused(
    system: SoonishSystem, member: Person, event: dict[str, Any], marked: Marked
) -> None:
    """Requests that are refused carry secrets as well."""
    address = f"{marked('address of a wrong login')}@example.org"
    for body in (
        {"email": address, "password": marked("wrong password")},
        {"email": member.address, "password": marked("another wrong password")},
        {"email": f"{marked('no address at all')}", "password": PASSWORD},
        {"email": member.address, "passwort": marked("misspelt")},
    ):
        assert member.answer("POST", "/api/auth/login", json=body).status_code in (401, 422)
    for url in (
        f"json://10.0.0.1/{marked('path of a local URL')}",
        f"file:///{marked('path of a file URL')}",
        f"nonsense://{marked('host of an unknown URL')}",
        f"{marked('no URL at all')}",
    ):
        body = {"name": "No", "apprise_url": url, "tag": "x", "verify": True}
        answer = member.ask("POST", "/api/integrations", json=body, expect=422)
        assert not any(marker in str(answer) for marker in marked.markers.values())
    headers = {"Authorization": f"Bearer {marked('a token of nobody')}"}
    assert member.answer("GET", "/api/users/me", headers=headers).status_code == 401
    path = f"/api/events/{event['id']}/subscribe"
    body = {"email": f"{marked('bad address')} at example.org"}
    assert member.answer("POST", path, json=body).status_code == 422
