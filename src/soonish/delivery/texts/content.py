"""The content of a message: plain data, made once per notification and stored as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Anchor = Literal["start", "end"]


@dataclass(frozen=True)
class EventFacts:
    """Facts about an event that its texts state: instants in UTC, and `url`, the public link."""

    name: str
    start: datetime
    end: datetime | None
    timezone: str  # IANA name
    location: str | None
    contact: str | None
    organizer_name: str | None
    description: str | None  # Markdown
    url: str
    is_public: bool = True  # a private event's link works for admitted people only

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"start": _to_iso(self.start), "end": self.end and _to_iso(self.end)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EventFacts:
        """Read what `to_json` made. Raises ValueError for a date without an offset."""
        end = data["end"]
        dates: dict[str, Any] = {
            "start": _from_iso(data["start"]),
            "end": _from_iso(end) if end else None,
        }
        return cls(**(data | dates))


@dataclass(frozen=True)
class Change:
    """One changed field of an event: its name in the API and its raw API values (dates ISO UTC)."""

    field: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Content:
    """One notification, before it is put into words.

    `title` and `body` (Markdown) are the organizer's, for `manual`; a `body` is also shown with a
    cancellation. `distance_seconds` is the true time to the `anchor`, for reminders; `late` means
    that the reminder fired more than 10 minutes late. `extra` holds the values of account mails,
    see `accounts`.
    """

    kind: str
    facts: EventFacts | None = None
    title: str | None = None
    body: str | None = None
    changes: tuple[Change, ...] = ()
    distance_seconds: int | None = None
    anchor: Anchor = "start"
    late: bool = False
    extra: dict[str, str] = field(default_factory=dict[str, str])

    def to_json(self) -> dict[str, Any]:
        """Return a dict of JSON values that `from_json` turns into an equal Content."""
        return asdict(self) | {
            "facts": self.facts and self.facts.to_json(),
            "changes": [asdict(change) for change in self.changes],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Content:
        """Read what `to_json` made; missing fields take their defaults."""
        facts = data.get("facts")
        parts: dict[str, Any] = {
            "facts": EventFacts.from_json(facts) if facts else None,
            "changes": tuple(Change(**change) for change in data.get("changes", ())),
        }
        return cls(**(data | parts))


def _to_iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _from_iso(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a date needs its offset")
    return moment.astimezone(UTC)
