"""People who use a running system: over HTTP, with the links of their mails."""

from __future__ import annotations

import itertools
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from soonish.local.caught_mail import CaughtMail
from tests.support.system import SoonishSystem, links
from tests.support.wait import wait_for

PASSWORD = "correct horse battery staple"
_number = itertools.count(1)


def new_address(name: str = "guest") -> str:
    """An address that nobody has used before, in no test."""
    return f"{name}-{next(_number)}-{secrets.token_hex(4)}@example.org"


def instant(**ahead: float) -> datetime:
    """A whole second so far ahead."""
    return (datetime.now(UTC) + timedelta(**ahead)).replace(microsecond=0)


def z(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Person:
    """Somebody with an address; signed in once `sign_up` or `log_in` was called."""

    def __init__(self, system: SoonishSystem, name: str) -> None:
        self.system, self.name = system, name
        self.address = new_address(name)
        self.token = ""

    def ask(self, method: str, path: str, *, expect: int | None = None, **how: Any) -> Any:
        """The answer's JSON (None without a body); its status must be `expect`, or any 2xx."""
        answer = self.answer(method, path, **how)
        good = answer.is_success if expect is None else answer.status_code == expect
        assert good, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def answer(self, method: str, path: str, **how: Any) -> httpx2.Response:
        headers = how.pop("headers", {})
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        url = self.system.base_url + path
        return httpx2.request(method, url, headers=headers, timeout=15, **how)

    def sign_up(self) -> Person:
        """Register and verify with the mailed link."""
        body = {"email": self.address, "password": PASSWORD, "name": self.name.capitalize()}
        self.ask("POST", "/api/auth/register", json=body, expect=202)
        token = self.mailed_token("/verify?token=")
        body = {"token": token, "password": PASSWORD}
        signed_in = self.ask("POST", "/api/auth/verify", json=body, expect=200)
        self.token = signed_in["access_token"]
        return self

    def mailed_token(self, containing: str, subject: str = "") -> str:
        mail = self.system.wait_for_mail(self.address, subject)
        found = urlsplit(links(mail, containing)[0])
        return parse_qs(found.query)["token"][0] if found.query else found.path.rpartition("/")[2]

    def mails(self) -> list[CaughtMail]:
        """What this person got, oldest first."""
        return self.system.mails_to(self.address)[::-1]

    def subjects(self) -> list[str]:
        return [mail.subject for mail in self.mails()]

    # what organizers do

    def create_event(self, name: str = "Garden party", **fields: Any) -> dict[str, Any]:
        body = {"name": name, "start_date": z(instant(hours=2)), **fields}
        return self.ask("POST", "/api/events", json=body, expect=201)

    def notify(self, event: dict[str, Any], title: str, **fields: Any) -> dict[str, Any]:
        """The answer; `key` is the Idempotency-Key."""
        key = fields.pop("key", None)
        headers = {"Idempotency-Key": key} if key else {}
        body = {"title": title, "body": "Bring a chair.", **fields}
        path = f"/api/events/{event['id']}/notify"
        return self.ask("POST", path, json=body, headers=headers, expect=202)

    def counts(self, event: dict[str, Any], notification_id: int) -> dict[str, int]:
        """The notification's deliveries by state, those with none left out."""
        path = f"/api/events/{event['id']}/notifications/{notification_id}"
        return {state: n for state, n in self.ask("GET", path)["counts"].items() if n}

    def counts_by_kind(self, event: dict[str, Any]) -> dict[str, dict[str, int]]:
        listed = self.ask("GET", f"/api/events/{event['id']}/notifications?limit=200")
        return {
            one["kind"]: {state: n for state, n in one["counts"].items() if n}
            for one in listed["items"]
        }

    def subscription_ids(self, event: dict[str, Any]) -> dict[str, int]:
        """Address to subscription id, of everybody who is subscribed."""
        listed = self.ask("GET", f"/api/events/{event['id']}/subscriptions?limit=200")
        return {one["address"]: one["id"] for one in listed["items"]}

    # what subscribers do

    def add_channel(self, url: str, tag: str, **fields: Any) -> int:
        body = {"name": "Hook", "apprise_url": url, "tag": tag, "verify": False, **fields}
        return self.ask("POST", "/api/integrations", json=body, expect=201)["id"]

    def subscribe(self, event: dict[str, Any], **selection: Any) -> dict[str, Any]:
        path = f"/api/events/{event['id']}/subscribe"
        return self.ask("POST", path, json=selection, expect=201)


def subscribe_anonymously(system: SoonishSystem, event: dict[str, Any], address: str) -> None:
    url = f"{system.base_url}/api/events/{event['id']}/subscribe"
    answer = httpx2.post(url, json={"email": address}, timeout=15)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"status": "accepted"}


def wait_until_settled(
    organizer: Person, event: dict[str, Any], notification_id: int, seconds: float = 30.0
) -> dict[str, int]:
    """Wait until nothing of a notification is sent any more; its counts by state."""

    path = f"/api/events/{event['id']}/notifications/{notification_id}"

    def completed() -> bool:
        return organizer.ask("GET", path)["completed_at"] is not None

    wait_for(completed, seconds, f"notification {notification_id} to be completed")
    return organizer.counts(event, notification_id)
