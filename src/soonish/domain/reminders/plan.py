"""Plan reminders, as pure functions of event and choice (docs/architecture.md#reminders)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import NotificationKind
from soonish.infra.db.models.reminders import END, START, Reminder
from soonish.infra.db.models.subscriptions import Subscription
from soonish.workflow_types import ReminderInput

DAY, HOUR = 86_400, 3_600


class ReminderChoice(NamedTuple):
    """A subscription's choice of reminders, in seconds before start and end."""

    id: int
    reminder_offsets: list[int] | None
    end_reminder_offsets: list[int] | None
    countdown_every_seconds: int | None
    countdown_from_seconds: int | None

    @classmethod
    def of(cls, subscription: Subscription) -> ReminderChoice:
        return cls(*(getattr(subscription, name) for name in cls._fields))


class PlannedReminder(NamedTuple):
    """A reminder that should exist; for a countdown `due_at` is its next instant."""

    schedule_id: str
    subscription_id: int | None
    anchor: str
    offset_seconds: int
    anchor_at: datetime
    due_at: datetime
    every_seconds: int | None = None


class Existing(NamedTuple):
    """The parts of a stored reminder that planning needs."""

    id: int
    schedule_id: str
    anchor_at: datetime
    offset_seconds: int
    every_seconds: int | None
    removed_at: datetime | None

    def stands_for(self, wanted: PlannedReminder) -> bool:
        mine = (self.anchor_at, self.offset_seconds, self.every_seconds)
        theirs = (wanted.anchor_at, wanted.offset_seconds, wanted.every_seconds)
        return self.removed_at is None and mine == theirs


@dataclass
class Changes:
    """The difference between table and plan: rows to create, move (by id) and remove."""

    make: list[PlannedReminder] = field(default_factory=list[PlannedReminder])
    move: dict[int, PlannedReminder] = field(default_factory=dict[int, PlannedReminder])
    remove: list[int] = field(default_factory=list[int])

    def __bool__(self) -> bool:
        return bool(self.make or self.move or self.remove)


def compare(
    existing: Iterable[Existing], wanted: Iterable[PlannedReminder], now: datetime
) -> Changes:
    """Return the changes to make. A reminder that is already past is not created."""
    rows, changes = {row.schedule_id: row for row in existing}, Changes()
    for one in wanted:
        row = rows.get(one.schedule_id)
        if row is not None and row.stands_for(one):
            del rows[one.schedule_id]
        elif one.due_at > now and row is None:
            changes.make.append(one)
        elif one.due_at > now and row is not None:
            changes.move[row.id] = one
            del rows[one.schedule_id]
    changes.remove = [row.id for row in rows.values() if row.removed_at is None]
    return changes


def wanted_defaults(event: Event, offsets: Iterable[int]) -> list[PlannedReminder]:
    """Plan one reminder per default offset (seconds before the start), past or not."""
    return [
        PlannedReminder(
            f"event-{event.id}-reminder-{offset}s",
            None,
            START,
            offset,
            event.start_date,
            event.start_date - timedelta(seconds=offset),
        )
        for offset in dict.fromkeys(offsets)
    ]


def wanted_personal(
    event: Event, subscription: ReminderChoice, now: datetime
) -> list[PlannedReminder]:
    """Plan the subscriber's own reminders: offsets before start and end, and the countdown."""
    prefix = f"event-{event.id}-sub-{subscription.id}"
    starts = _before(
        START, f"{prefix}-reminder", subscription, event.start_date, subscription.reminder_offsets
    )
    ends = _before(
        END, f"{prefix}-end-reminder", subscription, event.end_date,
        subscription.end_reminder_offsets,
    )  # fmt: skip
    return [*starts, *ends, *_countdown(event, subscription, now)]


def _before(
    anchor: str,
    prefix: str,
    subscription: ReminderChoice,
    anchor_at: datetime | None,
    offsets: list[int] | None,
) -> Iterator[PlannedReminder]:
    if anchor_at is None:
        return
    for offset in dict.fromkeys(offsets or []):
        due_at = anchor_at - timedelta(seconds=offset)
        schedule_id = f"{prefix}-{offset}s"
        yield PlannedReminder(schedule_id, subscription.id, anchor, offset, anchor_at, due_at)


def _countdown(
    event: Event, subscription: ReminderChoice, now: datetime
) -> Iterator[PlannedReminder]:
    every, first = subscription.countdown_every_seconds, subscription.countdown_from_seconds
    if every is None or first is None:
        return
    start, schedule_id = event.start_date, f"event-{event.id}-sub-{subscription.id}-countdown"
    # without an instant left, keep the first one: it is past and thus not created again
    due_at = next_countdown(start, first, every, now) or start - timedelta(seconds=first)
    yield PlannedReminder(schedule_id, subscription.id, START, first, start, due_at, every)


def next_countdown(
    start: datetime, from_seconds: int, every_seconds: int, after: datetime
) -> datetime | None:
    """Return the countdown's first instant after `after` and before the start, or None."""
    first = start - timedelta(seconds=from_seconds)
    steps = max(0, (after - first) // timedelta(seconds=every_seconds) + 1)
    due_at = first + timedelta(seconds=steps * every_seconds)
    return due_at if due_at < start else None


def reminder_kind(reminder: Reminder | ReminderInput) -> NotificationKind:
    """Return the kind of notification that a reminder becomes."""
    if reminder.every_seconds:
        return NotificationKind.COUNTDOWN
    if reminder.anchor == END:
        return NotificationKind.REMINDER
    kinds = {DAY: NotificationKind.REMINDER_1DAY, HOUR: NotificationKind.REMINDER_1HOUR}
    return kinds.get(reminder.offset_seconds, NotificationKind.REMINDER)
