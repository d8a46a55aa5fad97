"""Template filters: dates, numbers and Markdown in one language."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import date as date_type
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit
from zlib import crc32
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time, format_timedelta
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit
from markupsafe import Markup

from soonish.delivery.texts.content import Change
from soonish.delivery.texts.humanize import describe_changes
from soonish.delivery.texts.markdown import render_markdown
from soonish.delivery.transports.classify import translatable
from soonish.i18n import Language


def now_utc() -> datetime:
    return datetime.now(UTC)


_Unit = Literal["day", "hour", "minute", "second"]
_UNITS: tuple[tuple[_Unit, int], ...] = (
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 0),
)


COVERS = 6


def _offset(moment: datetime, timezone: str) -> timedelta | None:
    return moment.astimezone(ZoneInfo(timezone)).utcoffset()


@lru_cache(maxsize=256)
def _html(text: str | None) -> str:
    """Cache the HTML: a description takes milliseconds and is the same for every visitor."""
    return render_markdown(text)


class Formats:
    """Every public method is a filter of that name. Instants are aware; a zone is an IANA name."""

    def __init__(self, words: Language) -> None:
        self._words = words
        self._locale = words.locale
        # The same patterns as in the mails (notifications/words.py).
        self._styles = {
            "full": words.gettext("EEEE, d MMMM y"),
            "medium": words.gettext("d MMM y"),
        }
        self._short = words.gettext("EEE d MMM")
        self._clock = words.gettext("HH:mm")

    def filters(self) -> dict[str, Callable[..., Any]]:
        names = (name for name in vars(type(self)) if not name.startswith("_"))
        return {name: getattr(self, name) for name in names if name != "filters"}

    def date(self, moment: datetime, timezone: str = "UTC", style: str = "full") -> str:
        """Format a date; `style` is full, medium, or a CLDR pattern."""
        local = moment.astimezone(ZoneInfo(timezone))
        return format_date(local.date(), self._styles.get(style, style), self._locale)

    def month(self, moment: datetime, timezone: str = "UTC") -> str:
        return self.date(moment, timezone, "MMM")

    def day(self, moment: datetime, timezone: str = "UTC") -> str:
        return self.date(moment, timezone, "d")

    def time(self, moment: datetime, timezone: str = "UTC") -> str:
        local = moment.astimezone(ZoneInfo(timezone))
        return format_time(local.time(), self._clock, locale=self._locale)

    def format_datetime(self, moment: datetime, timezone: str = "UTC") -> str:
        return f"{self.date(moment, timezone, 'medium')}, {self.time(moment, timezone)}"

    def plain_date(self, day: date_type) -> str:
        """Format a day without a time or a zone."""
        return format_date(day, self._styles["medium"], self._locale)

    def seconds(self, distance: timedelta) -> str:
        """Format a short time with one decimal, `0.4 seconds`; from a minute on like `duration`."""
        value = max(distance.total_seconds(), 0.0)
        if value >= 60:
            return self.duration(int(value))
        return format_unit(round(value, 1), "duration-second", locale=self._locale)

    def relative(self, moment: datetime, timezone: str = "UTC") -> str:
        """Format as `in 3 days` or `2 hours ago`; from a day on by the zone's calendar."""
        now = now_utc()
        distance, threshold = moment - now, 0.99
        if abs(distance) >= timedelta(days=1):
            zone = ZoneInfo(timezone)
            days = (moment.astimezone(zone).date() - now.astimezone(zone).date()).days
            distance, threshold = timedelta(days=days), 2.0 if abs(days) > 1 else 0.99
        return format_timedelta(
            distance, add_direction=True, threshold=threshold, locale=self._locale
        )

    def elsewhere(self, moment: datetime, timezone: str, other: str | None) -> str:
        """Format the instant in the `other` zone, `Sat 13 Dec, 02:00`; empty if the clocks
        agree."""
        if not other or _offset(moment, timezone) == _offset(moment, other):
            return ""
        return f"{self.date(moment, other, self._short)}, {self.time(moment, other)}"

    @staticmethod
    def cover(slug: str) -> int:
        """Return the number of the event's cover in app.css and in pictures."""
        return crc32(slug.encode()) % COVERS

    def changed(
        self, changes: list[dict[str, str | None]], timezone: str
    ) -> list[tuple[str, str, str]]:
        """Return an update's changes as (label, old, new) in words."""
        made = [Change(str(c["field"]), c["old"], c["new"]) for c in changes]
        return describe_changes(made, timezone, str(self._locale))

    def duration(self, seconds: int) -> str:
        """Format `90000` as `1 day 1 hour`; seconds are only shown under a minute."""
        words: list[str] = []
        for size in (86400, 3600, 60):
            count, seconds = divmod(seconds, size)
            if count:
                words.append(self._span(count * size))
        return " ".join(words) or self._span(seconds)

    def _span(self, seconds: int) -> str:
        fitting: list[_Unit] = [unit for unit, size in _UNITS if seconds >= size]
        return format_timedelta(
            seconds, granularity=fitting[0], threshold=9999, locale=self._locale
        )

    def number(self, value: float) -> str:
        return format_decimal(value, locale=self._locale)

    def percent(self, share: float) -> str:
        """Format as `99.7%`."""
        return format_percent(round(share, 3), locale=self._locale, decimal_quantization=False)

    @staticmethod
    def host(url: str) -> str:
        """Return the host, such as `id.example.org`, of a URL."""
        return urlsplit(url).hostname or url

    def sentence(self, text: str) -> str:
        """Translate an error into a complete sentence: services return only its predicate."""
        said = self._words.translate(text)
        ended = said if said[-1:] in ".!?…" else f"{said}."
        return f"{ended[:1].upper()}{ended[1:]}" if said else ""

    def reason(self, detail: str) -> str:
        """Translate why a message did not arrive into a sentence."""
        return self.sentence(translatable(detail))

    def markdown(self, text: str | None) -> Markup:
        return Markup(_html(text))  # noqa: S704 - render_markdown sanitises

    def iso(self, moment: datetime) -> str:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

    @staticmethod
    def local_input(moment: datetime, timezone: str = "UTC") -> str:
        """Format the value of a `datetime-local` field."""
        return moment.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%dT%H:%M")
