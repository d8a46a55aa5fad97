"""The demo's steps. Each does one thing as a user would and waits for its messages."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import typer

from soonish.cli.demonstration.inboxes import (
    HookInbox,
    Inbox,
    MailInbox,
    NotArrived,
    wait_for,
    webhook,
)
from soonish.cli.demonstration.system import system

ARRIVES_WITHIN = 20.0  # seconds; usually a fraction of one
REMINDER_IN = 6.0  # seconds until the chosen personal reminder fires
QUIET_SECONDS = 2.0  # how long to watch that nothing more arrives after unsubscribing
MIN_OFFSET = 60


class StepFailed(Exception):
    """A step failed."""


@dataclass
class Demo:
    """The users, their data and the report so far. Each user has a browser."""

    base_url: str
    hook: HookInbox
    as_json: bool
    report: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tokens: dict[str, str] = field(default_factory=dict[str, str])
    event: dict[str, Any] = field(default_factory=dict[str, Any])
    member_inbox: Inbox | None = None
    run_id: str = field(default_factory=lambda: secrets.token_hex(4))
    browsers: dict[str, httpx2.Client] = field(default_factory=dict[str, httpx2.Client])

    # people

    def browser(self, who: str | None) -> httpx2.Client:
        """Return this user's browser; None is a stranger's."""
        if (name := who or "") not in self.browsers:
            self.browsers[name] = httpx2.Client(base_url=self.base_url, timeout=15)
        return self.browsers[name]

    def close(self) -> None:
        for browser in self.browsers.values():
            browser.close()

    def address(self, who: str) -> str:
        return f"{who}-{self.run_id}@demo.example"

    def mail(self, who: str) -> MailInbox:
        return MailInbox(self.browser(None), self.address(who))

    @property
    def member(self) -> Inbox:
        return self.member_inbox or self.mail("member")

    def ask(self, who: str | None, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request as this user and return its JSON.

        Raise StepFailed unless it returns 2xx.
        """
        if who in self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        answer = self.browser(who).request(method, path, json=body, headers=headers)
        if not answer.is_success:
            raise StepFailed(f"{method} {path} was answered {answer.status_code}: {answer.text}")
        is_json = answer.content and "json" in answer.headers.get("content-type", "")
        return answer.json() if is_json else None

    # messages

    def arrives(self, title: str, *inboxes: Inbox, within: float | None = None) -> None:
        """Wait until each inbox has the message, and report it."""
        for inbox in inboxes:
            started = time.monotonic()
            found = wait_for(
                lambda inbox=inbox: [t for t in inbox.titles() if title in t],
                within or ARRIVES_WITHIN,
                f"“{title}” did not arrive: {inbox.name}",
            )
            self.tell(inbox.name, found[0], time.monotonic() - started)

    def tell(self, inbox: str, title: str, seconds: float) -> None:
        self.report[-1]["arrived"].append({"inbox": inbox, "title": title})
        if not self.as_json:
            typer.echo(f"   {inbox:<44} “{title}” after {seconds:.2f} s")

    def step(self, name: str, do: Callable[[Demo], None]) -> None:
        """Announce and run a step. Raise StepFailed with the step's name."""
        self.report.append({"step": name, "arrived": [], "ok": False})
        if not self.as_json:
            typer.echo(f"{len(self.report)}. {name}")
        try:
            do(self)
        except (NotArrived, StepFailed, httpx2.HTTPError) as error:
            raise StepFailed(f"The demo failed at “{name}”: {error}") from error
        self.report[-1]["ok"] = True


def run(url: str | None, *, patterns: bool, as_json: bool) -> None:
    """Play the demo against `url`, the system at BASE_URL, or a temporary one.

    Exit with 1 and the step's name if something does not arrive in time.
    """
    with system(url) as (address, about), webhook() as hook:
        if not as_json:
            typer.echo(about)
        demo = Demo(address, hook, as_json)
        with closing(demo):
            failure = _play(demo, PATTERNS if patterns else LIFECYCLE)
        if as_json:
            typer.echo(json.dumps({"url": address, "steps": demo.report}, ensure_ascii=False))
        if failure:
            typer.echo(failure, err=True)
            raise typer.Exit(1)
        if not as_json:
            typer.echo(f"All {len(demo.report)} steps did what they should.")


def _play(demo: Demo, steps: list[tuple[str, Callable[[Demo], None]]]) -> str | None:
    try:
        for name, do in steps:
            demo.step(name, do)
    except StepFailed as error:
        return str(error)
    return None


def sign_up(who: str) -> Callable[[Demo], None]:
    def do(demo: Demo) -> None:
        password = secrets.token_urlsafe(16)
        body = {"email": demo.address(who), "password": password, "name": who.capitalize()}
        demo.ask(who, "POST", "/api/auth/register", body)
        inbox = demo.mail(who)
        demo.arrives("Confirm", inbox)
        link = inbox.links("", "/verify?token=")[0]
        token = parse_qs(urlsplit(link).query)["token"][0]
        signed_in = demo.ask(who, "POST", "/api/auth/verify", {"token": token})
        demo.tokens[who] = signed_in["access_token"]

    return do


def create_event(demo: Demo) -> None:
    start = datetime.now(UTC) + timedelta(hours=2)
    body = {
        "name": f"Demo concert {demo.run_id}",
        "start_date": start.isoformat(),
        "location": "The old town hall",
        "description": "An hour of music.",
        "timezone": "Europe/Berlin",
    }
    demo.event = demo.ask("organizer", "POST", "/api/events", body)
    demo.arrives("is ready", demo.mail("organizer"))


def subscribe_anonymously(demo: Demo) -> None:
    """Subscribe just an address; with ANONYMOUS_OPT_IN=double it confirms first."""
    body, inbox = {"email": demo.address("guest"), "name": "Guest"}, demo.mail("guest")
    demo.ask(None, "POST", f"{_event(demo)}/subscribe", body)
    demo.arrives("subscri", inbox)
    if any("Confirm" in title for title in inbox.titles()):
        link = inbox.links("Confirm", "/confirm/")[0]
        demo.ask(None, "POST", "/api/confirm", {"token": link.rpartition("/")[2]})
        demo.arrives("You're subscribed", inbox)


def subscribe_by_tag(demo: Demo) -> None:
    """Subscribe by a webhook if this system may call the demo's; else by mail."""
    body = {"name": "Demo hook", "apprise_url": demo.hook.apprise_url, "tag": f"d{demo.run_id}"}
    headers = {"Authorization": f"Bearer {demo.tokens['member']}"}
    answer = demo.browser("member").post("/api/integrations", json=body, headers=headers)
    code = answer.json().get("code") if answer.status_code == 422 else None
    if code == "integration_url_blocked_target":
        if not demo.as_json:
            typer.echo("   (EGRESS_ALLOWED_NETWORKS is without 127.0.0.0/8: by mail instead)")
        demo.ask("member", "POST", f"{_event(demo)}/subscribe", {})
    elif answer.status_code == 201 and answer.json()["is_active"]:
        demo.member_inbox = demo.hook
        demo.arrives("test", demo.hook)
        demo.ask("member", "POST", f"{_event(demo)}/subscribe", {"tags": [body["tag"]]})
    else:
        raise StepFailed(f"the webhook was not taken: {answer.text}")
    demo.arrives("You're subscribed", demo.member)


def notify(demo: Demo) -> None:
    title = f"Doors open at seven ({demo.run_id})"
    body = {"title": title, "body": "Please bring your **ticket**."}
    path, key = f"{_event(demo)}/notify", {"Idempotency-Key": demo.run_id}
    first = demo.ask("organizer", "POST", path, body, **key)
    again = demo.ask("organizer", "POST", path, body, **key)
    if first["notification_id"] != again["notification_id"] or first["audience"] != 2:
        raise StepFailed(f"answered {first} and then {again}")
    demo.arrives(title, demo.mail("guest"), demo.member)


def change(demo: Demo) -> None:
    name = f"Demo concert, now outdoors {demo.run_id}"
    start = datetime.now(UTC) + timedelta(hours=3)
    body = {"name": name, "start_date": start.isoformat()}
    demo.event = demo.ask("organizer", "PATCH", _event(demo), body)
    demo.arrives("has changed", demo.mail("guest"), demo.member)


def remind(demo: Demo) -> None:
    """Choose a personal reminder that is due in seconds; nobody else gets it."""
    start = datetime.fromisoformat(demo.event["start_date"])
    now = datetime.now(UTC)
    offset = max(MIN_OFFSET, int((start - now).total_seconds() - REMINDER_IN))
    due = start - timedelta(seconds=offset)
    demo.ask("member", "PUT", f"{_event(demo)}/reminders", {"offset_seconds": [offset]})
    wait = (due - datetime.now(UTC)).total_seconds() + ARRIVES_WITHIN
    demo.arrives("starts in", demo.member, within=wait)
    late = (datetime.now(UTC) - due).total_seconds()
    if not demo.as_json:
        typer.echo(f"   (it was due {late:.1f} s before)")
    if any("starts in" in title for title in demo.mail("guest").titles()):
        raise StepFailed("somebody else was reminded too")


def unsubscribe(demo: Demo) -> None:
    inbox = demo.mail("guest")
    link = inbox.links("You're subscribed", "/u/")[0]
    demo.ask(None, "POST", urlsplit(link).path)
    demo.arrives("You're unsubscribed", inbox)


def cancel(demo: Demo) -> None:
    """Cancel the event: remaining subscribers are notified, former ones are not."""
    inbox = demo.mail("guest")
    before = len(inbox.titles())
    demo.ask("organizer", "DELETE", _event(demo))
    demo.arrives("is cancelled", demo.member)
    deadline = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < deadline:
        if len(inbox.titles()) != before:
            raise StepFailed("somebody who had left was told")
        time.sleep(0.2)


def see_ledger(demo: Demo) -> None:
    """Check in the organizer's view that every delivery is finished."""

    def settled() -> list[dict[str, Any]]:
        sent = demo.ask("organizer", "GET", f"{_event(demo)}/notifications")["items"]
        moving = ("pending", "sending", "retrying", "failed")
        return [] if any(one["counts"][s] for one in sent for s in moving) else sent

    for one in wait_for(settled, ARRIVES_WITHIN, "the ledger still has open rows"):
        counts = {state: n for state, n in one["counts"].items() if n}
        demo.report[-1]["arrived"].append({"kind": one["kind"], "counts": counts})
        if not demo.as_json:
            told = ", ".join(f"{n} {state}" for state, n in counts.items()) or "nobody"
            typer.echo(f"   {one['kind']:<16} {told}")


def _event(demo: Demo) -> str:
    return f"/api/events/{demo.event['id']}"


_BEGINNING: list[tuple[str, Callable[[Demo], None]]] = [
    ("An organizer registers and confirms the address", sign_up("organizer")),
    ("An event in two hours is created", create_event),
    ("Somebody subscribes with an address alone", subscribe_anonymously),
    ("A member registers", sign_up("member")),
    ("The member subscribes by the tag of a webhook", subscribe_by_tag),
    ("The organizer sends a message, twice with one key", notify),
]
_REMINDER = ("The member's own reminder comes", remind)
LIFECYCLE = [
    *_BEGINNING,
    ("The event gets another name and start", change),
    _REMINDER,
    ("The anonymous subscriber leaves", unsubscribe),
    ("The event is cancelled", cancel),
    ("The ledger tells what became of everything", see_ledger),
]
PATTERNS = [*_BEGINNING, _REMINDER]
