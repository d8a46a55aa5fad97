"""The form of an event: from what was typed to the API's input, and back."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from soonish.domain.events.schemas import EventOut, EventPatch
from soonish.errors import InvalidInput
from soonish.i18n import _
from soonish.web.rendering.formats import Formats
from soonish.web.rendering.forms import Form, parse

_TEXTS = ("name", "location", "contact", "category", "description")
FIELDS = (*_TEXTS, "timezone", "start_date", "end_date", "tags", "is_public")
ORIGINALS = (*(f"was_{name}" for name in FIELDS), "seen")


def timezones(chosen: str) -> list[tuple[str, str]]:
    """Return the choices of a timezone field; an unknown one stays visible as chosen."""
    names = sorted(_place_names() | ({chosen} - {"UTC"}))
    return [(name, name.replace("_", " ")) for name in ["UTC", *names]]


@cache
def _place_names() -> frozenset[str]:
    """Return the zones named after a place, cached: reading them all takes milliseconds."""
    names = available_timezones()
    return frozenset(name for name in names if "/" in name and not name.startswith("Etc/"))


def event_from(form: Form, schema: type[Any]) -> Any:
    """Read the form as the API's input: local times become instants, tags are split at commas."""
    timezone = form.value("timezone", "UTC")
    values: dict[str, Any] = {name: form.optional(name) for name in _TEXTS}
    values |= {
        "name": form.value("name"),
        "start_date": _required(form.instant("start_date", timezone)),
        "end_date": form.instant("end_date", timezone),
        "timezone": timezone,
        "tags": [tag.strip() for tag in form.value("tags").split(",") if tag.strip()],
        "is_public": "1" in form.values("is_public"),
    }
    made = parse(schema, values)
    if made.end_date and made.end_date <= made.start_date:
        raise InvalidInput("end_date", _("The end must be after the start."))
    return made


def _required(start: datetime | None) -> datetime:
    if start is None:
        raise InvalidInput("start_date", "Choose a date and a time.")
    return start


def changed_only(patch: EventPatch, before: EventOut) -> EventPatch:
    """Only what differs from what the form showed: its fields know minutes, not seconds."""
    sent = patch.sent()
    for name in ("start_date", "end_date"):
        old = getattr(before, name)
        if old and sent[name] == old.replace(second=0, microsecond=0):
            sent[name] = old
    return EventPatch(**{k: v for k, v in sent.items() if v != getattr(before, k)})


def form_of(event: EventOut) -> Form:
    """Return the event's form fields, with the values they show as `was_...`, and `seen`."""
    zone = event.timezone
    values = {name: getattr(event, name) or "" for name in (*_TEXTS, "timezone")} | {
        "start_date": Formats.local_input(event.start_date, zone),
        "end_date": Formats.local_input(event.end_date, zone) if event.end_date else "",
        "tags": ", ".join(event.tags),
        "is_public": "1" if event.is_public else "0",
    }
    was = {f"was_{name}": value for name, value in values.items()}
    return Form.filled(**values, **was, seen=event.updated_at.isoformat())


def brought_up_to_date(form: Form, event: EventOut) -> Form:
    """Bring the posted form up to the event's present values.

    What somebody else changed meanwhile stays, except for what this form's sender changed too.
    """
    now = form_of(event)
    for name in form.names().intersection(FIELDS):
        typed = _typed(form, name)
        if typed != form.value(f"was_{name}", now.value(name)):
            now.put(name, typed)
    return now


def _typed(form: Form, name: str) -> str:
    """Return a field's last text: a ticked box comes after the `0` that an unticked one sends."""
    if name == "is_public":
        return "1" if "1" in form.values(name) else "0"
    return form.value(name)


def is_stale(form: Form, event: EventOut) -> bool:
    """Tell whether the event has changed since the form was filled from it."""
    seen = form.value("seen")
    return bool(seen) and seen != event.updated_at.isoformat()
