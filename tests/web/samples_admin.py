"""The administrators' pages in their states, filled with sample data."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace as Row
from typing import Any

from soonish.i18n import _
from tests.web.samples import LONG, NOW, USER, event

ADMIN_USER = Row(**(vars(USER) | {"is_admin": True}))
DAYS = [(NOW - timedelta(days=number)).date() for number in range(7)]
NO_LATENCY = Row(median=None, p95=None)


def person(id: int, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "id": id,
        "name": "Bo Chen",
        "address": "b***@example.org",
        "is_verified": True,
        "is_admin": False,
        "events": 2,
        "subscriptions": 11,
        "created_at": NOW - timedelta(days=40),
        "deactivated_at": None,
        "erased_at": None,
    }
    return Row(**(values | changes))


def entry(id: int, action: str, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "id": id,
        "created_at": NOW - timedelta(minutes=7 * id),
        "actor_user_id": 1,
        "action": action,
        "outcome": "ok",
        "object_type": None,
        "object_id": None,
        "event_id": None,
        "client": "203.0.113.0/24",
        "details": None,
    }
    return Row(**(values | changes))


def channel(id: int, health: str, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "id": id,
        "user_id": 7,
        "kind": "discord",
        "target": "discord.com/***",
        "health": health,
        "failing_since": NOW - timedelta(hours=20) if health == "failing" else None,
        "last_delivery_at": NOW - timedelta(hours=2),
    }
    return Row(**(values | changes))


PEOPLE = [
    person(1, name="Ana Ortiz", address="a***@example.org", is_admin=True),
    person(2),
    person(3, name=None, is_verified=False, events=0, subscriptions=1),
    person(4, name=LONG, deactivated_at=NOW - timedelta(days=1)),
    person(5, name=None, address=None, events=0, subscriptions=0, erased_at=NOW),
]
EVENTS = [
    event(owner_user_id=1),
    event(id=8, name=LONG, status="ongoing", is_public=False, owner_user_id=2, subscriber_count=1),
    event(id=9, status="cancelled", owner_user_id=2),
    event(id=10, status="ended", owner_user_id=2),
]
CHANNELS = [
    channel(1, "working"),
    channel(2, "open", kind="json", target="hooks.a-rather-long-host-name.example.org/***"),
    channel(3, "failing", last_delivery_at=None),
    channel(4, "off"),
]
ENTRIES = [
    entry(1, "event.update", object_type="event", object_id=7, event_id=7),
    entry(2, "session.start", object_type="session", object_id=31, outcome="failed"),
    entry(3, "request.refused", outcome="denied", actor_user_id=None),
    entry(4, "integration.create", object_type="integration", object_id=4, client=None),
]
ANALYTICS = Row(
    counts={"sent": 12_480, "failed": 31, "expired": 4},
    success_rate=0.9972,
    latency_seconds=Row(median=0.4, p95=2.7),
    by_kind=[
        Row(kind="mail", counts={"sent": 10_220, "failed": 3}, success_rate=0.9997),
        Row(kind="discord", counts={"sent": 2_260, "failed": 28}, success_rate=0.9878),
        Row(kind="json", counts={"pending": 2}, success_rate=None),
    ],
    by_day=[Row(day=day, counts={"sent": 1_780, "failed": 4}, success_rate=0.99) for day in DAYS],
    failures=[
        Row(day=DAYS[0], kind="discord", outcome="rejected", count=24),
        Row(day=DAYS[1], kind="mail", outcome="timeout", count=3),
    ],
)
QUIET = Row(
    counts={}, success_rate=None, latency_seconds=NO_LATENCY, by_kind=[], by_day=[], failures=[]
)


def _page(name: str, items: list[Row], more: str | None = None, **chosen: Any) -> Any:
    context = {"user": ADMIN_USER, "items": items, "next_url": more, **chosen}
    return f"admin/{name}.html", context


REFUSED = _("An administrator cannot be deactivated.")
ADMIN_SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "admin": (
        "admin/overview.html",
        {"user": ADMIN_USER, "days": 7, "analytics": ANALYTICS, "troubled": CHANNELS[1:3]},
    ),
    "admin-quiet": (
        "admin/overview.html",
        {"user": ADMIN_USER, "days": 1, "analytics": QUIET, "troubled": []},
    ),
    "admin-users": _page("users", PEOPLE, "/admin/users?cursor=x", query=""),
    "admin-users-none": _page("users", [], query="nobody"),
    "admin-users-refused": _page("users", PEOPLE, query="", error=REFUSED),
    "admin-events": _page("events", EVENTS, "/admin/events?cursor=x", query=""),
    "admin-events-none": _page("events", [], query="opera"),
    "admin-channels": _page("integrations", CHANNELS, "/admin/integrations?cursor=x", health=""),
    "admin-channels-none": _page("integrations", [], health="failing"),
    "admin-audit": _page("audit", ENTRIES, "/admin/audit?cursor=x"),
    "admin-audit-none": _page("audit", []),
}
