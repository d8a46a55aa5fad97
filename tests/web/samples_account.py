"""The account and its pages in their states, filled with sample data."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace as Row
from typing import Any

from soonish.errors import FieldError, Forbidden, InvalidInput
from soonish.web.rendering.forms import Form
from tests.web.samples import NOW, USER, ZONES
from tests.web.samples_admin import entry

SESSIONS = [
    (Row(id=1, last_seen_at=NOW, current=True), ("Firefox", "Linux")),
    (Row(id=2, last_seen_at=NOW - timedelta(hours=5), current=False), ("Safari", "iPhone")),
    (Row(id=3, last_seen_at=NOW - timedelta(days=1), current=False), ("curl", "")),
    (Row(id=4, last_seen_at=NOW - timedelta(days=2), current=False), ("", "")),
]
TOKENS = [
    Row(
        id=1,
        name="Backup script",
        scope="read",
        expires_at=NOW + timedelta(days=30),
        last_used_at=NOW - timedelta(hours=3),
    ),
    Row(
        id=2,
        name="A-rather-long-name-without-any-space-" * 2,
        scope="write",
        expires_at=NOW,
        last_used_at=None,
    ),
    Row(id=3, name="Script", scope="read", expires_at=None, last_used_at=None),
]
LOGINS = [Row(id=1, issuer="https://id.example.org/realm", created_at=NOW - timedelta(days=90))]
ENTRIES = [
    entry(1, "event.update", event_id=7, details={"fields": ["location"]}),
    entry(2, "session.start", outcome="failed"),
    entry(3, "request.refused", outcome="denied", event_id=9),
    entry(4, "event.notify", event_id=7, details={"token_id": 1}),
    entry(5, "user.password", client=None),
]


def _filled(**more: str) -> Form:
    return Form.filled(name="Ana Ortiz", timezone="Europe/Madrid", locale="", **more)


def _failed(form: Form, *errors: FieldError) -> Form:
    return form.failed(InvalidInput(errors=list(errors)))


ACCOUNT: dict[str, Any] = {
    "user": USER,
    "has_password": True,
    "now": NOW,
    "least": 12,
    "form": _filled(),
    "made": None,
    "timezones": ZONES,
    "languages": [("en", "English"), ("de", "Deutsch")],
    "sessions": SESSIONS,
    "tokens": TOKENS,
    "logins": LOGINS,
    "entries": ENTRIES,
    "more_entries": True,
}
NEW: dict[str, Any] = {
    "user": Row(**(vars(USER) | {"name": None, "timezone": None})),
    "has_password": False,
    "sessions": SESSIONS[:1],
    "tokens": [],
    "logins": [],
    "entries": [],
    "more_entries": False,
}
WRONG = _failed(
    _filled(email="nobody"),
    FieldError("timezone", "must be an IANA timezone, such as Europe/Berlin"),
    FieldError("current_password", "This is not the present password."),
    FieldError("password", "is used by many people"),
    FieldError("email", "is no email address"),
    FieldError("token_name", "Please fill this in."),
)
ACCOUNT_SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "account": ("accounts/account.html", ACCOUNT),
    "account-new": ("accounts/account.html", ACCOUNT | NEW),
    "account-wrong": ("accounts/account.html", ACCOUNT | {"form": WRONG}),
    "account-token": (
        "accounts/account.html",
        ACCOUNT | {"made": Row(name="Backup script", token="sn_" + "x" * 43)},
    ),
    "activity": (
        "accounts/activity.html",
        {"user": USER, "entries": ENTRIES, "next_url": "/account/activity?cursor=x"},
    ),
    "activity-none": (
        "accounts/activity.html",
        {"user": USER, "entries": [], "next_url": None},
    ),
    "erase": ("accounts/erase.html", {"user": USER, "has_password": True, "form": Form()}),
    "erase-wrong": (
        "accounts/erase.html",
        {
            "user": USER,
            "has_password": True,
            "form": _failed(Form(), FieldError("current_password", "Please fill this in.")),
        },
    ),
    "erase-refused": (
        "accounts/erase.html",
        {
            "user": USER,
            "has_password": False,
            "form": Form().failed(Forbidden("Please sign in again first.", code="sign_in_again")),
        },
    ),
}
