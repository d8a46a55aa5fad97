"""Every page in its states, filled with sample data: for the template and the browser tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace as Row
from typing import Any

from soonish.domain.events.queries import Facets
from soonish.domain.integrations.kinds import all_kinds, search
from soonish.domain.notifications.schemas import Counts
from soonish.errors import (
    Conflict,
    Forbidden,
    Gone,
    InvalidInput,
    NotFound,
    SoonishError,
    TooManyRequests,
    Unavailable,
)
from soonish.web.pages.organizer.event_form import FIELDS, ORIGINALS
from soonish.web.pages.start import StartFilter
from soonish.web.rendering import charts
from soonish.web.rendering.forms import Form
from soonish.web.rendering.pictures import qr_inline

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
        "updated_at": NOW,
    }
    return Row(**(values | changes))


def update(title: str, body: str, hours: int) -> Row:
    made = NOW - timedelta(hours=hours)
    return Row(title=title, body=body, created_at=made, category="announcement", changes=[])


MOVED = Row(
    title="Rooftop cinema has changed", body="", created_at=NOW - timedelta(hours=30),
    category="schedule_change",
    changes=[
        {"field": "start_date", "old": "2026-12-01T17:00:00Z", "new": "2026-12-01T18:30:00Z"},
        {"field": "location", "old": "Park", "new": None},
    ],
)  # fmt: skip
CALLED_OFF = Row(
    title="", body="", created_at=NOW - timedelta(hours=1), category="cancelled", changes=[]
)


UPDATES = [
    update("Rain plan", "If it rains we move **inside**. Same time.", 2),
    MOVED,
]
INTEGRATIONS = [
    Row(id=1, name="Phone", kind="ntfy", target="ntfy.sh/***", tag="urgent", is_active=True,
        circuit="closed", failing_since=None, last_failure=None,
        last_delivery_at=NOW - timedelta(minutes=20)),
    Row(id=2, name="Film club", kind="discord", target="discord.com/***", tag="friends",
        is_active=True, circuit="open", failing_since=None,
        last_failure="The service answered 500", last_delivery_at=None),
    Row(id=4, name="Old hook", kind="json", target="hooks.example.org/***", tag="work",
        is_active=True, circuit="closed", failing_since=NOW - timedelta(days=2),
        last_failure="The certificate is not valid for this host",
        last_delivery_at=None),
    Row(id=3, name=LONG, kind="json", target="hooks.example.org/***", tag="work",
        is_active=False, circuit="closed", failing_since=None,
        last_failure="The connection failed", last_delivery_at=None),
]  # fmt: skip
UNTRIED: dict[str, Any] = {"tested": None, "wrong": [], "again": [], "parts_used": False}
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
    "updates_next": None,
    "told": "",
    "qr": qr_inline("http://localhost:8000/e/rooftop-cinema-4k2"),
}
MEMBER: dict[str, Any] = PAGE | {
    "user": USER,
    "choice": Row(
        integrations=INTEGRATIONS,
        tags=["friends", "urgent"],
        chosen_ids=[1],
        chosen_tags=["friends", "work"],
        reach=Row(address=None, channels=INTEGRATIONS[:2], silent=["#work"]),
    ),
    "reminders_action": "/e/x/reminders",
    "remind_me_action": "/e/x/remind-me",
    "offered_offsets": [900, 3600, 86400, 604800],
    "reminder_offsets": [3600, 86400],
    "remind_mes": [Row(id=1, at=NOW + timedelta(hours=5))],
}
NOTIFICATIONS = [
    Row(id=2, kind="manual", title="Rain plan", created_at=NOW - timedelta(hours=2),
        completed_at=None, counts=Counts(**COUNTS)),
    Row(id=1, kind="reminder_1day", title=None, created_at=NOW - timedelta(days=2),
        completed_at=NOW, counts=Counts(**(NO_COUNTS | {"sent": 140}))),
]  # fmt: skip
PEOPLE = [
    Row(id=1, name="Bo Chen", address="bo@example.org", status="active", channels=["mail"]),
    Row(id=2, name=None, address="a.really.long.address.for.testing@subdomain.example.org",
        status="active", channels=["discord", "ntfy"]),
    Row(id=3, name="Dee", address="dee@example.org", status="pending_approval", channels=["mail"]),
]  # fmt: skip
PICKED = [
    Row(id=1, name="Bo Chen", address="bo@example.org"),
    Row(id=2, name=None, address="dee@example.org"),
]
CHANNELS = [
    Row(channel="mail", targets=120, subscriptions=120),
    Row(channel="discord", targets=21, subscriptions=20),
    Row(channel="ntfy", targets=3, subscriptions=2),
]
MESSAGE: dict[str, Any] = {
    "form": Form(),
    "idempotency_key": "k",
    "refused": False,
    "takes_messages": True,
    "latest": NOTIFICATIONS,
    "channels": CHANNELS,
    "last_failed": 2,
    "waiting": 1,
    "picked": [],
    "found": PICKED,
}
DRAFT = {"title": "Rain plan", "body": "We move **inside**.", "idempotency_key": "k"}
PREVIEW: dict[str, Any] = {
    "audience": 142,
    "channels": CHANNELS,
    "unreachable": 2,
    "mail": Row(subject="Rain plan", html="<p>x</p>", text="We move inside.\n\nSee the event"),
    "chat": Row(title="Rain plan", body="We move **inside**.\n\n- Same time"),
    "sms": Row(body="Rain plan\nWe move inside. When: Friday", is_cut=True),
}
PEOPLE_PAGE: dict[str, Any] = {
    "query": "",
    "status_filter": "",
    "subscribers": PEOPLE,
    "waiting": 1,
    "next_url": "?cursor=x",
}
DUE = NOW - timedelta(hours=3)
REMINDERS: dict[str, Any] = {
    "coming": [Row(offset_seconds=3600, anchor="start", due_at=START - timedelta(hours=1))],
    "personal": Row(reminders=37, people=12, next_at=NOW + timedelta(hours=2)),
    "missed": [Row(offset_seconds=86400, due_at=NOW - timedelta(days=1))],
    "fired": [
        Row(
            notification_id=4,
            kind="reminder_1day",
            due_at=DUE,
            sent=140,
            targets=142,
            first_sent_at=DUE + timedelta(seconds=0.4),
            last_sent_at=DUE + timedelta(seconds=2.1),
        ),
        Row(
            notification_id=3,
            kind="reminder",
            due_at=DUE,
            sent=0,
            targets=1,
            first_sent_at=None,
            last_sent_at=None,
        ),
    ],
    "next_url": None,
}


def organizer(template: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    base = {
        "event": event(),
        "user": USER,
        "open": True,
        "is_owner": True,
        "section_title": "x",
        "tab": "message",
    }
    return f"organizer/{template}.html", base | context


def health(status: str, waiting: int, days: int = 30) -> dict[str, Any]:
    many = [
        Row(day=(NOW - timedelta(days=days - n)).date(), subscribed=n, left=n // 9,
            subscribers=n * 4, deliveries={"sent": n * n, "failed": n} if n % 3 else {})
        for n in range(days)
    ]  # fmt: skip
    return {
        "workflow": Row(status=status, outbox_waiting=waiting, outbox_lag=4.2),
        "days": many,
        "states": ["sent", "failed"],
        "delivery_chart": charts.stacked([day.deliveries for day in many], charts.STATES),
        "subscriber_chart": charts.line([day.subscribers for day in many]),
    }


DELIVERIES = [
    Row(name=None, address="bo@example.org", channel="mail",
        delivery=Row(state=state, outcome=outcome, attempts=2,
                     next_attempt_at=NOW + timedelta(minutes=2), finished_at=NOW))
    for state, outcome in (("sent", "ok"), ("failed", "rejected"), ("retrying", "timeout"))
]  # fmt: skip
NOTIFICATION: dict[str, Any] = {
    "item": NOTIFICATIONS[0],
    "body": "We move **inside**.",
    "deliveries": DELIVERIES,
    "channels": ["discord", "mail"],
    "state": "",
    "channel": "",
    "query": "",
    "sent_now": False,
    "list_url": "?state=",
    "next_url": "?cursor=x",
}
FACETS = Facets(["Film", "Sports"], ["cinema", "outdoor"])
EVENTS = [
    event(),
    event(id=8, name=LONG, status="ongoing", location=None),
    event(id=9, name="Book club", status="cancelled", is_public=False),
    event(id=10, name="Run", status="ended", start_date=NOW - timedelta(days=2)),
]
DASHBOARD: dict[str, Any] = {
    "user": USER,
    "events": EVENTS,
    "subscriptions": [Row(event=event())],
    "broken_channels": [INTEGRATIONS[2], INTEGRATIONS[3]],
    "has_channels": True,
    "waiting": [Row(event_id=7, event_name="Rooftop cinema", count=2)],
    "failed": [Row(event_id=7, event_name="Rooftop cinema", notification_id=2, title="Rain plan",
                   count=1)],
    "reminders": [Row(event_id=7, event_name="Rooftop cinema", timezone="UTC", due_at=START)],
    "next_url": None,
}  # fmt: skip
ACCESS: dict[str, Any] = {
    "form": Form(),
    "link": "",
    "results": [],
    "invitations": [
        Row(id=1, address="dee@example.org", status="active", uses=0, max_uses=1, expires_at=None,
            needs_approval=False),
        Row(id=2, address=None, status="revoked", uses=3, max_uses=None, expires_at=START,
            needs_approval=True),
    ],
    "organizers": [
        Row(user_id=1, name="Ana Ortiz", address="ana@example.org", role="owner"),
        Row(user_id=2, name=None, address="cy@example.org", role="co_organizer"),
    ],
}  # fmt: skip
EDIT: dict[str, Any] = {
    "timezones": ZONES,
    "browser_zone": False,
    "originals": ORIGINALS,
    "stale": False,
}
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
        {"events": EVENTS, "wanted": StartFilter(), "facets": FACETS, "next_url": "/?cursor=x"},
    ),
    "start-empty": (
        "events/start.html",
        {"events": [], "wanted": StartFilter(), "facets": Facets([], []), "next_url": None},
    ),
    "start-nothing": (
        "events/start.html",
        {"events": [], "wanted": StartFilter(query="opera", tag="cinema"), "facets": FACETS,
         "next_url": None},
    ),
    "event": ("events/page.html", PAGE),
    "event-wrong": ("events/page.html", PAGE | {"form": wrong()}),
    "event-done": ("events/page.html", PAGE | {"done": "subscribed", "told": "bo@example.org"}),
    "event-many-updates": (
        "events/page.html",
        PAGE | {"updates": UPDATES * 3, "updates_next": "/e/x/updates?cursor=1"},
    ),
    "event-updates": (
        "events/updates_page.html", PAGE | {"updates": UPDATES * 3, "updates_next": "/e/x/updates"},
    ),
    "event-member-new": (
        "events/page.html",
        MEMBER | {"choice": Row(integrations=[], tags=[], chosen_ids=[], chosen_tags=[],
                                reach=Row(address=USER.email, channels=[], silent=[]))},
    ),
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
        "events/page.html", PAGE | {"event": event(status="cancelled"), "open": False,
                                    "updates": [CALLED_OFF, *UPDATES]},
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
    "organize": organizer("message", MESSAGE),
    "organize-wrong": organizer("message", MESSAGE | {"form": wrong()}),
    "organize-chosen": organizer(
        "message", MESSAGE | {"form": Form({"audience": ["chosen"], "to": ["1"]}),
                              "picked": PICKED[:1], "found": PICKED[1:]},
    ),
    "organize-new": organizer(
        "message", MESSAGE | {"event": event(subscriber_count=0), "latest": [], "channels": [],
                              "last_failed": 0, "found": []},
    ),
    "organize-cancelled": organizer(
        "message", MESSAGE | {"event": event(status="cancelled"), "open": False,
                              "takes_messages": False},
    ),
    "review": organizer("review", {"form": Form.filled(**DRAFT), "preview": PREVIEW}),
    "review-nobody": organizer(
        "review", {"form": Form.filled(**DRAFT, audience="failed").failed(Conflict("Too late.")),
                   "preview": PREVIEW | {"audience": 0, "channels": [], "unreachable": 0}},
    ),
    "sent-list": organizer(
        "notifications",
        {"notifications": NOTIFICATIONS, "unfinished": True, "next_url": "?cursor=x"},
    ),
    "sent-nothing": organizer(
        "notifications", {"notifications": [], "unfinished": False, "next_url": None},
    ),
    "notification": organizer("notification", NOTIFICATION),
    "notification-done": organizer(
        "notification", NOTIFICATION | {"item": NOTIFICATIONS[1], "deliveries": [], "body": None,
                                        "channels": ["mail"], "next_url": None},
    ),
    "people": organizer("people", PEOPLE_PAGE),
    "people-none": organizer(
        "people", PEOPLE_PAGE | {"subscribers": [], "waiting": 0, "next_url": None},
    ),
    "people-waiting": organizer("people", PEOPLE_PAGE | {"status_filter": "pending_approval"}),
    "reminders": organizer("reminders", REMINDERS),
    "reminders-none": organizer(
        "reminders", {"coming": [], "personal": Row(reminders=0), "missed": [], "fired": [],
                      "next_url": None},
    ),
    "settings": organizer("settings", {"updates": UPDATES}),
    "edit": organizer("edit", EDIT | {"form": FILLED}),
    "edit-wrong": organizer("edit", EDIT | {"form": wrong(), "stale": True}),
    "announcement": organizer(
        "announcement", {"form": FILLED, "told": PREVIEW, "kept": FIELDS, "stale": True,
                         "changes": [("Where", "The park", "The lake"), ("Ends", "(none)", LONG)]},
    ),
    "cancel": organizer("cancel", {"told": PREVIEW}),
    "cancel-again": organizer(
        "cancel", {"told": PREVIEW, "open": False, "event": event(status="cancelled")},
    ),
    "health": organizer("health", health("running", 0)),
    "health-away": organizer("health", health("unreachable", 3)),
    "health-behind": organizer("health", health("running", 2)),
    "health-new": organizer("health", health("starting", 1, days=1)),
    "dashboard": ("accounts/dashboard.html", DASHBOARD),
    "dashboard-new": (
        "accounts/dashboard.html",
        DASHBOARD | {"events": [], "subscriptions": [], "broken_channels": [], "waiting": [],
                     "failed": [], "reminders": [], "has_channels": False},
    ),
    "access": organizer("access", ACCESS),
    "access-link": organizer("access", ACCESS | {"link": "http://localhost:8000/e/x?invitation=y"}),
    "access-helper": organizer(
        "access", ACCESS | {"is_owner": False, "organizers": [], "invitations": [],
                            "results": [Row(row=Row(email="a@example.org", id=None),
                                            outcome="asked", message="")]},
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
    "verify": (
        "accounts/verify.html", {"form": Form(), "token": "t", "token_page": True, "claim": None},
    ),
    "verify-move": (
        "accounts/verify.html",
        {"form": Form(), "token": "t", "token_page": True,
         "claim": Row(needs_password=True, is_signed_in=False)},
    ),
    "verify-sign-in-first": (
        "accounts/verify.html",
        {"form": Form(), "token": "t", "token_page": True,
         "claim": Row(needs_password=False, is_signed_in=False)},
    ),
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
            {"user": USER, "kind": all_kinds()[name], "form": Form(), **UNTRIED},
        )
        for name in ("discord", "json", "mailto", "matrix", "ntfy")
    },
    "service-wrong": (
        "integrations/new.html",
        {"user": USER, "kind": all_kinds()["gotify"], "form": channel_wrong(),
         "parts_used": True, "wrong": [], "again": ["f-password"],
         "tested": Row(ok=False, detail="The service answered with status 404.")},
    ),
    "service-url": (
        "integrations/new.html", {"user": USER, "kind": None, "form": wrong(), **UNTRIED},
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
    "components": (
        "dev/components.html",
        {"empty": Form(), "wrong": wrong(), "events": EVENTS},
    ),
    "error-403": ("error.html", {"error": Forbidden()}),
    "error-422": ("error.html", {"error": InvalidInput("to", "must not be before from")}),
    "error-429": ("error.html", {"error": TooManyRequests(30)}),
    "error-503": ("error.html", {"error": Unavailable()}),
    "error-404": ("error.html", {"error": NotFound()}),
    "error-410": ("error.html", {"error": Gone()}),
    "error-500": ("error.html", {"error": SoonishError()}),
}  # fmt: skip
