"""Put instants, durations and changed values into words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from soonish.delivery.texts.content import Change
from soonish.delivery.texts.markdown import markdown_to_text
from soonish.delivery.texts.safe_text import one_line, paragraph
from soonish.i18n import Language, language

_HOUR = 3600
_EXCERPT = 400  # characters of a description


def duration_in_words(seconds: float, locale: str = "en") -> str:
    """Return `9000` as "2 hours 30 minutes"; rounds to minutes from an hour on, negative is 0."""
    t = language(locale)
    whole = max(0, round(seconds))
    if whole >= _HOUR:
        whole = round(whole / 60) * 60
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    parts = [
        (day, t.ngettext("%(n)d day", "%(n)d days", day)),
        (hour, t.ngettext("%(n)d hour", "%(n)d hours", hour)),
        (minute, t.ngettext("%(n)d minute", "%(n)d minutes", minute)),
        (second, t.ngettext("%(n)d second", "%(n)d seconds", second)),
    ]
    return " ".join(words % {"n": n} for n, words in parts if n) or parts[-1][1] % {"n": 0}


def date_in_words(moment: datetime, timezone: str, locale: str = "en") -> str:
    """Return an aware instant as "Saturday, 12 December 2026, 18:00 (Europe/Berlin)".

    In the hour that a change of clocks repeats it also has the UTC offset.
    """
    t = language(locale)
    # Translators: a date pattern of Unicode's CLDR, with weekday, year and time of day.
    pattern = t.gettext("EEEE, d MMMM y, HH:mm")
    local, zone_name = _local(moment, timezone)
    words = format_datetime(local, pattern, tzinfo=local.tzinfo, locale=t.locale)
    return f"{words} ({zone_name}{_offset_if_ambiguous(local)})"


def _local(moment: datetime, timezone: str) -> tuple[datetime, str]:
    """Convert to the zone; use UTC for an unknown zone or if the year would be past 9999."""
    try:
        return moment.astimezone(_zone(timezone)), timezone
    except (ValueError, OSError, OverflowError):
        return moment.astimezone(UTC), "UTC"


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except KeyError as error:  # ZoneInfoNotFoundError
        raise ValueError(name) from error


def _offset_if_ambiguous(local: datetime) -> str:
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return ""
    offset = f"{local:%z}"
    return f", UTC{offset[:3]}:{offset[3:5]}"


def describe_changes(
    changes: Iterable[Change], timezone: str, locale: str = "en"
) -> list[tuple[str, str, str]]:
    """Return each change as (label, old value, new value) in words, with dates in `timezone`."""
    t = language(locale)
    return [
        (
            _label(change.field, t),
            _value(change.field, change.old, timezone, t),
            _value(change.field, change.new, timezone, t),
        )
        for change in changes
    ]


def _label(field: str, t: Language) -> str:
    labels = {
        "name": t.gettext("Name"),
        "start_date": t.gettext("Starts"),
        "end_date": t.gettext("Ends"),
        "timezone": t.gettext("Timezone"),
        "location": t.gettext("Where"),
        "contact": t.gettext("Contact"),
        "description": t.gettext("Description"),
        "category": t.gettext("Category"),
        "tags": t.gettext("Tags"),
        "is_public": t.gettext("Visibility"),
        "organizer_name": t.gettext("Organizer"),
    }
    aliases = {"start": "start_date", "end": "end_date"}
    known = labels.get(aliases.get(field, field))
    return known or one_line(field.replace("_", " ").capitalize(), 60)


def _value(field: str, raw: str | None, timezone: str, t: Language) -> str:
    if raw is None or not raw.strip():
        return t.gettext("(none)")
    match field:
        case "start" | "start_date" | "end" | "end_date":
            return _date_value(raw, timezone, t)
        case "description":
            return paragraph(markdown_to_text(raw), _EXCERPT)
        case "is_public":
            return t.gettext("public") if raw.lower() in ("true", "1") else t.gettext("private")
        case "tags":
            return one_line(", ".join(_json_list(raw))) or t.gettext("(none)")
        case _:
            return one_line(raw)


def _date_value(raw: str, timezone: str, t: Language) -> str:
    try:
        moment = datetime.fromisoformat(raw)
    except ValueError:
        return one_line(raw)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return date_in_words(aware, timezone, str(t.locale))


def _json_list(raw: str) -> list[str]:
    try:
        value: Any = json.loads(raw)
    except ValueError:
        return [raw]
    return [str(item) for item in value] if isinstance(value, list) else [raw]
