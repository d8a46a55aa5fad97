"""Every page in its states, filled with sample data: for the template and the browser tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace as Row
from typing import Any

from soonish.errors import Conflict, Gone, InvalidInput, NotFound, SoonishError
from soonish.events.facets import Facets
from soonish.events.start_page import Wanted
from soonish.integrations.kinds import all_kinds, search
from soonish.web.forms import Form

NOW = datetime.now(UTC)
START = (NOW + timedelta(days=3)).replace(hour=17, minute=30, second=0, microsecond=0)
LONG = "A rather long name that somebody pasted from another page without shortening it first"
USER = Row(id=1, email="ana@example.org", name="Ana Ortiz", timezone="Europe/Madrid", locale="en")
ZONES = [(zone, zone) for zone in ("America/New_York", "Europe/Berlin", "Europe/Madrid", "UTC")]
COUNTS = {
    "pending": 2,
    "sending": 5,
    "sent": 1240,
    "retrying": 3,
    "failed": 2,
    "expired": 1,
    "suppressed": 4,
}
NO_COUNTS = dict.fromkeys(COUNTS, 0)


def event(**changes: Any) -> Row:
    values: dict[str, Any] = {
        "id": 7,
        "name": "Rooftop cinema: Paris, Texas",
        "slug": "rooftop-cinema-4k2",
        "start_date": START,
        "end_date": START + timedelta(hours=3),
        "timezone": "Europe/Berlin",
        "location": "Klunkerkranich, Karl-Marx-Straße 66, Berlin",
        "description": "Bring a **blanket**, it gets cold.\n\n- Doors at six\n- Film at dusk\n\n"
        "More at <https://example.org/rooftop-cinema/programme/2026/paris-texas>.",
        "contact": "cinema@example.org",
        "category": "Film",
        "tags": ["cinema", "outdoor"],
        "status": "scheduled",
        "is_public": True,
        "public_url": "http://localhost:8000/e/rooftop-cinema-4k2",
        "subscriber_count": 142,
    }
    return Row(**(values | changes))


def update(title: str, body: str, hours: int) -> Row:
    return Row(title=title, body=body, created_at=NOW - timedelta(hours=hours), category="general")


UPDATES = [
    update("Rain plan", "If it rains we move **inside**. Same time.", 2),
    update("Rooftop cinema has changed", "Starts: Friday, 18:00 → Friday, 19:30", 30),
]
INTEGRATIONS = [
    Row(id=1, name="Phone", kind="ntfy", target="ntfy.sh/***", tag="urgent", is_active=True,
        circuit="closed", failing_since=None,
        last_delivery_at=NOW - timedelta(minutes=20)),
    Row(id=2, name="Film club", kind="discord", target="discord.com/***", tag="friends",
        is_active=True, circuit="open", failing_since=None, last_delivery_at=None),
    Row(id=4, name="Old hook", kind="json", target="hooks.example.org/***", tag="work",
        is_active=True, circuit="closed", failing_since=NOW - timedelta(days=2),
        last_delivery_at=None),
    Row(id=3, name=LONG, kind="json", target="hooks.example.org/***", tag="work",
        is_active=False, circuit="closed", failing_since=None, last_delivery_at=None),
]  # fmt: skip
PAGE: dict[str, Any] = {
    "must_confirm": False,
    "event": event(),
    "organizer_name": "Ana Ortiz",
    "is_organizer": False,
    "updates": UPDATES,
    "open": True,
    "subscription": None,
    "done": "",
    "invitation": "",
    "user": None,
    "form": Form(),
    "integrations": [],
    "tags": [],
    "chosen_ids": [],
    "chosen_tags": [],
}
MEMBER: dict[str, Any] = PAGE | {
    "user": USER,
    "integrations": INTEGRATIONS,
    "tags": ["friends", "urgent"],
    "chosen_ids": [1],
    "chosen_tags": ["friends"],
    "reminders_action": "/e/x/reminders",
    "remind_me_action": "/e/x/remind-me",
    "offered_offsets": [900, 3600, 86400, 604800],
    "reminder_offsets": [3600, 86400],
    "remind_mes": [Row(id=1, at=NOW + timedelta(hours=5))],
}
NOTIFICATIONS = [
    Row(id=2, kind="manual", title="Rain plan", created_at=NOW - timedelta(hours=2),
        completed_at=None, counts=COUNTS),
    Row(id=1, kind="reminder_1day", title=None, created_at=NOW - timedelta(days=2),
        completed_at=NOW, counts=NO_COUNTS | {"sent": 140}),
]  # fmt: skip
PEOPLE = [
    Row(id=1, name="Bo Chen", address="bo@example.org", status="active", channels=["mail"]),
    Row(id=2, name=None, address="a.really.long.address.for.testing@subdomain.example.org",
        status="active", channels=["discord", "ntfy"]),
    Row(id=3, name="Dee", address="dee@example.org", status="pending_approval", channels=["mail"]),
]  # fmt: skip
ORGANIZE: dict[str, Any] = {
    "event": event(),
    "user": USER,
    "open": True,
    "is_owner": True,
    "form": Form(),
    "idempotency_key": "k",
    "notifications": NOTIFICATIONS,
    "unfinished": False,
    "updates": UPDATES,
    "subscribers": PEOPLE,
    "subscribers_next": "/events/7/subscribers?cursor=x",
    "query": "",
    "reminders": [
        Row(offset_seconds=86400, due_at=START - timedelta(days=1), fired_at=None, expired_at=None),
        Row(offset_seconds=3600, due_at=START - timedelta(hours=1), fired_at=NOW, expired_at=None),
    ],
}
DELIVERIES = [
    Row(address="b***@example.org", channel="mail", state=state, outcome=outcome, attempts=1)
    for state, outcome in (("sent", "ok"), ("failed", "rejected"), ("retrying", "timeout"))
]
FACETS = Facets(["Film", "Sports"], ["cinema", "outdoor"])
EVENTS = [
    event(),
    event(id=8, name=LONG, status="ongoing", location=None),
    event(id=9, name="Book club", status="cancelled", is_public=False),
    event(id=10, name="Run", status="ended", start_date=NOW - timedelta(days=2)),
]
FILLED = Form.filled(name="Picnic", start_date="2027-06-01T12:00", timezone="Europe/Berlin")


def wrong() -> Form:
    form = Form.filled(name="", email="nobody", start_date="2020-01-01T12:00", title="", body="")
    fields = ("name", "email", "start_date", "title", "body", "password", "apprise_url")
    for field in fields:
        form.failed(InvalidInput(field, "This is not right yet; try it like this."))
    return form


def channel_wrong() -> Form:
    """A service's form with mistakes."""
    form = Form.filled(**{"name": "Server", "tag": "", "f-host": "push.example.org"})
    form.errors = {"f-token": "Please fill this in.", "tag": "Please fill this in."}
    form.errors["apprise_url"] = "The address is private or local."
    return form


SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "start": (
        "events/start.html",
        {"events": EVENTS, "wanted": Wanted(), "facets": FACETS, "next_url": "/?cursor=x"},
    ),
    "start-empty": (
        "events/start.html",
        {"events": [], "wanted": Wanted(), "facets": Facets([], []), "next_url": None},
    ),
    "start-nothing": (
        "events/start.html",
        {"events": [], "wanted": Wanted(query="opera", tag="cinema"), "facets": FACETS,
         "next_url": None},
    ),
    "event": ("events/page.html", PAGE),
    "event-wrong": ("events/page.html", PAGE | {"form": wrong()}),
    "event-done": ("events/page.html", PAGE | {"done": "subscribed"}),
    "event-done-asked": ("events/page.html", PAGE | {"done": "subscribed", "must_confirm": True}),
    "event-done-approval": ("events/page.html", PAGE | {"done": "asked"}),
    "event-invited": ("events/page.html", PAGE | {"invitation": "a-b_c"}),
    "event-bare": (
        "events/page.html",
        PAGE | {
            "event": event(name=LONG, end_date=None, location=None, description=None, contact=None,
                           category=None, tags=[], is_public=False),
            "updates": [], "organizer_name": None,
        },
    ),
    "event-cancelled": (
        "events/page.html", PAGE | {"event": event(status="cancelled"), "open": False},
    ),
    "event-over": ("events/page.html", PAGE | {"event": event(status="ended"), "open": False}),
    "event-member": ("events/page.html", MEMBER | {"is_organizer": True}),
    "event-subscribed": ("events/page.html", MEMBER | {"subscription": Row(status="active")}),
    "event-waiting": (
        "events/page.html", MEMBER | {"subscription": Row(status="pending_approval")},
    ),
    "new": (
        "events/new.html",
        {"user": USER, "form": Form(), "timezones": ZONES, "event": None, "browser_zone": True},
    ),
    "new-wrong": (
        "events/new.html",
        {"user": USER, "form": wrong(), "timezones": ZONES, "event": None, "browser_zone": False},
    ),
    "edit": (
        "events/edit.html",
        {"user": USER, "form": FILLED, "timezones": ZONES, "event": event(), "browser_zone": False},
    ),
    "cancel": ("events/cancel.html", {"user": USER, "event": event()}),
    "organize": ("events/organize.html", ORGANIZE),
    "organize-wrong": ("events/organize.html", ORGANIZE | {"form": wrong()}),
    "organize-new": (
        "events/organize.html",
        ORGANIZE | {"event": event(subscriber_count=0), "notifications": [], "updates": [],
                    "subscribers": [], "subscribers_next": None, "reminders": []},
    ),
    "organize-cancelled": (
        "events/organize.html", ORGANIZE | {"event": event(status="cancelled"), "open": False},
    ),
    "subscribers": ("events/subscribers_page.html", ORGANIZE),
    "notification": (
        "events/notification.html",
        {"user": USER, "event": event(), "item": NOTIFICATIONS[0], "deliveries": DELIVERIES,
         "state": "", "next_url": "?cursor=x"},
    ),
    "dashboard": (
        "accounts/dashboard.html",
        {"user": USER, "events": EVENTS, "subscriptions": [Row(event=event())],
         "broken_channels": [INTEGRATIONS[1]], "next_url": None},
    ),
    "dashboard-new": (
        "accounts/dashboard.html",
        {"user": USER, "events": [], "subscriptions": [], "broken_channels": [], "next_url": None},
    ),
    "account": (
        "accounts/account.html",
        {"user": USER, "has_password": True, "form": Form.filled(name="Ana"), "timezones": ZONES,
         "sessions": [
            Row(id=1, user_agent="Firefox on Linux", last_seen_at=NOW, current=True),
            Row(id=2, user_agent=None, last_seen_at=NOW - timedelta(days=1), current=False)]},
    ),
    "login": (
        "accounts/login.html",
        {"form": Form(), "next": "/dashboard", "provider": "id.example"},
    ),
    "login-wrong": (
        "accounts/login.html",
        {"form": Form().failed(Conflict("No such pair.")), "next": "", "provider": ""},
    ),
    "register": ("accounts/register.html", {"form": Form(), "provider": ""}),
    "sent": ("accounts/sent.html", {"kind": "forgot", "catcher": True}),
    "verify": ("accounts/verify.html", {"form": Form(), "token": "t", "token_page": True}),
    "reset": ("accounts/reset.html", {"form": wrong(), "token": "t", "token_page": True}),
    "forgot": ("accounts/forgot.html", {"form": Form()}),
    "integrations": (
        "integrations/page.html", {"user": USER, "integrations": INTEGRATIONS},
    ),
    "integrations-none": ("integrations/page.html", {"user": USER, "integrations": []}),
    "services": (
        "integrations/choose.html", {"user": USER, "query": "", "kinds": search(""), "popular": 13},
    ),
    "services-found": (
        "integrations/choose.html",
        {"user": USER, "query": "sms", "kinds": search("sms"), "popular": 13},
    ),
    "services-none": (
        "integrations/choose.html", {"user": USER, "query": "nonsense", "kinds": [], "popular": 13},
    ),
    **{
        f"service-{name}": (
            "integrations/new.html",
            {"user": USER, "kind": all_kinds()[name], "form": Form(), "tested": None,
             "parts_used": False},
        )
        for name in ("discord", "json", "mailto", "matrix", "ntfy")
    },
    "service-wrong": (
        "integrations/new.html",
        {"user": USER, "kind": all_kinds()["gotify"], "form": channel_wrong(),
         "parts_used": True,
         "tested": Row(ok=False, detail="The service answered with status 404.")},
    ),
    "service-url": (
        "integrations/new.html", {"user": USER, "kind": None, "form": wrong(), "tested": None,
         "parts_used": False},
    ),
    "integration-edit": (
        "integrations/edit.html",
        {"user": USER, "form": Form.filled(name="Phone", tag="urgent"),
         "integration": INTEGRATIONS[0]},
    ),
    "unsubscribe": (
        "subscriptions/token.html",
        {"heading": "Unsubscribe?", "text": "You will hear nothing more.", "action": "/u/t",
         "label": "Unsubscribe", "link": "", "link_label": "", "token_page": True},
    ),
    "confirm": (
        "subscriptions/token.html",
        {"heading": "Confirm your subscription?", "text": "You will be told of changes.",
         "action": "/confirm/t", "label": "Confirm subscription", "link": "", "link_label": "",
         "token_page": True},
    ),
    "manage": (
        "subscriptions/manage.html",
        MEMBER | {"user": None, "token": "t", "token_page": True, "said": "Saved."},
    ),
    "manage-private": (
        "subscriptions/manage.html",
        MEMBER | {"event": event(is_public=False), "user": None, "token": "t",
                  "token_page": True, "said": ""},
    ),
    "mails": (
        "dev/mails.html",
        {"query": "", "mails": [Row(name="x.eml", subject="Hello", recipients=["a@example.org"],
                                    received_at=NOW)]},
    ),
    "error-404": ("error.html", {"error": NotFound()}),
    "error-410": ("error.html", {"error": Gone()}),
    "error-500": ("error.html", {"error": SoonishError()}),
}  # fmt: skip
