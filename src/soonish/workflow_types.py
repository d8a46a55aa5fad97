"""Arguments and results of all workflows and activities. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class VerificationInput:
    """Argument of UserVerificationWorkflow. `begun`: an earlier run has requested the mail."""

    user_id: int
    workflow_id: str
    begun: bool = False


@dataclass
class SessionInput:
    session_id: int


@dataclass
class Deadline:
    """The time until the next check, in seconds; None at the end."""

    seconds: float | None


@dataclass
class EventInput:
    """Argument of EventWorkflow; everything else is read from the database."""

    event_id: int


@dataclass
class HandItem:
    """A signal without `outbox_id`, so sent by hand; `key` deduplicates it."""

    kind: str
    payload: dict[str, Any]
    key: str


@dataclass
class AdvanceInput:
    event_id: int
    by_hand: list[HandItem] = field(default_factory=list[HandItem])


@dataclass
class EventPlan:
    """The workflow's next work, as read from the database.

    `more`: outbox rows are left. `broadcasts`: open notifications, oldest first. `close_at`:
    ISO 8601 instant from which the workflow may complete, None if it may now.
    """

    exists: bool
    more: bool
    sync_reminders: bool
    broadcasts: list[BroadcastWork]
    status: str
    subscriber_count: int
    over_at: str | None
    close_at: str | None
    reminders: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


@dataclass
class EventRef:
    event_id: int


@dataclass
class EventStatus:
    """Result of the query `get_status`."""

    event_id: int
    status: str
    subscriber_count: int
    reminders: list[dict[str, Any]]


@dataclass
class BroadcastInput:
    """Argument of BroadcastWorkflow. `parent_id`: a workflow that waits for the first pass."""

    notification_id: int
    parent_id: str | None = None


@dataclass
class BroadcastWork:
    """An open notification and the number of rows that can be sent now."""

    notification_id: int
    claimable: int


@dataclass
class DeliverInput:
    """Argument of `deliver`. `claimable`: the last known number of sendable rows, 0 if unknown."""

    notification_id: int
    claimable: int = 0


@dataclass
class DeliveryReport:
    """Rows that one delivery activity processed."""

    delivered: int = 0
    failed: int = 0
    pending: int = 0


@dataclass
class BroadcastState:
    """`claimable` rows can be sent now; if 0, the next can in `wait_seconds` (None: never)."""

    completed: bool
    claimable: int
    wait_seconds: float | None


@dataclass
class Pass:
    """One delivery activity's report, and the broadcast's state after it."""

    report: DeliveryReport
    state: BroadcastState


@dataclass
class BroadcastProgress:
    """Result of the query `get_progress`."""

    notification_id: int
    delivered: int
    failed: int
    passes: int


@dataclass
class ReminderInput:
    """A schedule's argument. `anchor_at` (ISO 8601) tells outdated schedules from current ones."""

    event_id: int
    subscription_id: int | None
    anchor: str
    offset_seconds: int
    anchor_at: str
    every_seconds: int | None = None


@dataclass
class RemindMeWork:
    """Argument of AdhocReminderWorkflow and of its activities."""

    remind_me_id: int


@dataclass
class RemindMePlan:
    """`at`: ISO 8601 instant. `alive` is False if it fired, was withdrawn, or its event ended."""

    alive: bool
    at: str


@dataclass
class FiredReminder:
    """The notification of a reminder, None if there is nothing to send.

    `report`: rows sent by the activity itself, `state`: the state after that (None: unknown).
    """

    notification_id: int | None
    report: DeliveryReport = field(default_factory=DeliveryReport)
    state: BroadcastState | None = None


@dataclass
class MaintenanceInput:
    """Argument of MaintenanceWorkflow. `rules`: names left to apply; None means all."""

    rules: list[str] | None = None


@dataclass
class RemovalWork:
    rule: str


@dataclass
class Removed:
    rows: int
    more: bool


@dataclass
class MaintenanceReport:
    """Removed rows by rule."""

    removed: dict[str, int] = field(default_factory=dict[str, int])
