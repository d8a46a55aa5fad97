"""Request and response schemas of events."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool, StringConstraints

from soonish.config import Settings
from soonish.domain.events.queries import EventDetails, status_of
from soonish.domain.notifications.schemas import ReachOut
from soonish.i18n import _
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import Input, Instant, OneLine, Output, Tag, Text, as_z, known_timezones

MAX_TAGS = 20
DESCRIPTION_LENGTH = 20_000
_LAST_YEAR = 2200  # Temporal's timers and timezone rules have limits; nobody plans later


def _known_timezone(value: str) -> str:
    if value not in known_timezones():
        raise ValueError(_("must be an IANA timezone, such as Europe/Berlin"))
    return value


def _foreseeable(value: datetime) -> datetime:
    if value.year > _LAST_YEAR:
        raise ValueError(_("must not be after the year %(year)s", year=_LAST_YEAR))
    return value


def _none_if_empty(value: str | None) -> str | None:
    return value or None


def _each_once(tags: list[str]) -> list[str]:
    return sorted(set(tags))


Name = Annotated[OneLine, StringConstraints(min_length=1, max_length=200)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS), AfterValidator(_each_once)]
EventDate = Annotated[Instant, AfterValidator(_foreseeable)]
Timezone = Annotated[Text, AfterValidator(_known_timezone)]
_Optional = AfterValidator(_none_if_empty)
Description = Annotated[
    Annotated[Text, StringConstraints(max_length=DESCRIPTION_LENGTH)] | None, _Optional
]
Location = Annotated[Annotated[OneLine, StringConstraints(max_length=500)] | None, _Optional]
Contact = Annotated[Annotated[OneLine, StringConstraints(max_length=320)] | None, _Optional]
Category = Annotated[Annotated[OneLine, StringConstraints(max_length=64)] | None, _Optional]


class EventCreate(Input):
    """A new event. Empty optional texts count as null; tags are lowercased."""

    name: Name
    start_date: EventDate
    end_date: EventDate | None = None
    description: Description = None
    location: Location = None
    contact: Contact = None
    category: Category = None
    tags: Tags = Field(default_factory=list[str])
    timezone: Timezone = "UTC"
    is_public: StrictBool = True


class EventPatch(Input):
    """Only the fields that are sent change."""

    # With a factory a field may be omitted but not null; the value it makes is never used.
    name: Name = Field(default_factory=str)
    start_date: EventDate = Field(default_factory=utc_now)
    end_date: EventDate | None = None
    description: Description = None
    location: Location = None
    contact: Contact = None
    category: Category = None
    tags: Tags = Field(default_factory=list[str])
    timezone: Timezone = Field(default_factory=str)
    is_public: StrictBool = Field(default_factory=bool)

    def sent(self) -> dict[str, Any]:
        """Return the fields of the request with their values (datetimes as datetimes)."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class EventOut(Output):
    id: int
    owner_user_id: int
    name: str
    start_date: Instant
    end_date: Instant | None
    description: str | None
    location: str | None
    contact: str | None
    category: str | None
    tags: list[str]
    timezone: str
    is_public: bool
    status: str
    slug: str
    public_url: str
    temporal_workflow_id: str
    subscriber_count: int
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, found: EventDetails, settings: Settings) -> EventOut:
        """Return the event with its current status and its public link."""
        event = found.event
        fields = {name: getattr(event, name, None) for name in cls.model_fields}
        return cls.model_validate(
            fields
            | {
                "tags": found.tags,
                "subscriber_count": found.subscriber_count,
                "status": status_of(event, utc_now()),
                "public_url": f"{settings.base_url}/e/{event.slug}",
            }
        )


class ChangeOut(Output):
    """A changed field with its old and new value as texts (instants in ISO 8601 with `Z`)."""

    field: str
    old: str | None
    new: str | None


class EventUpdateOut(Output):
    id: int
    category: str
    title: str
    body: str
    changes: list[ChangeOut] | None
    created_at: Instant


class ChangePreview(ReachOut):
    """A preview of what a PATCH would change and whom it would notify."""

    changes: list[ChangeOut]


class ReminderStatus(Output):
    schedule_id: str
    at: Instant
    kind: str


class WorkflowStatus(Output):
    """`outbox_lag`: age in seconds of the oldest row Temporal has not received, else 0;
    `outbox_waiting`: the number of such rows."""

    workflow_id: str
    run_id: str | None
    status: str
    outbox_lag: float
    outbox_waiting: int
    reminders: list[ReminderStatus]


class Day(Output):
    """A day in UTC: new and ended subscriptions, the total at its end, and deliveries by state."""

    day: date
    subscribed: int
    left: int
    subscribers: int
    deliveries: dict[str, int]


class Statistics(Output):
    days: list[Day]


class FiredReminderOut(Output):
    """`due_at` is the reminder's instant; `first_sent_at` and `last_sent_at` are null if nothing
    was sent."""

    notification_id: int
    kind: str
    due_at: Instant
    first_sent_at: Instant | None
    last_sent_at: Instant | None
    sent: int
    targets: int


def as_text(value: Any) -> str | None:
    """Return an API value as the update log stores it: ISO with `Z`, `true`/`false`, joined
    tags."""
    match value:
        case None | [] | "":
            return None
        case bool():
            return "true" if value else "false"
        case datetime():
            return as_z(value)
        case list():
            return ", ".join(value)
        case _:
            return str(value)
