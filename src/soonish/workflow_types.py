"""What the accounts' workflows and activities tell each other. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class VerificationInput:
    """`begun`: the mail has been asked for by an earlier run."""

    user_id: int
    workflow_id: str
    begun: bool = False


@dataclass
class SessionInput:
    session_id: int


@dataclass
class Deadline:
    """When to look again, in seconds from now; None: it has come to its end."""

    seconds: float | None


@dataclass
class EventInput:
    """Only the id travels: the database is the truth about everything else."""

    event_id: int


@dataclass
class HandItem:
    """A signal that came without `outbox_id`: sent by hand, deduplicated by `key`."""

    kind: str
    payload: dict[str, Any]
    key: str


@dataclass
class AdvanceInput:
    event_id: int
    by_hand: list[HandItem] = field(default_factory=list[HandItem])


@dataclass
class EventPlan:
    """What the workflow does next, as read from the database.

    `more`: outbox rows are left. `broadcasts`: open notifications, oldest first. `close_at`:
    ISO 8601 instant when the workflow may complete, None when it already may.
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
    """Answer of the query `get_status`."""

    event_id: int
    status: str
    subscriber_count: int
    reminders: list[dict[str, Any]]


@dataclass
class BroadcastInput:
    """`parent_id`: the workflow that waits for the first pass, if one does."""

    notification_id: int
    parent_id: str | None = None


@dataclass
class BroadcastWork:
    """An open notification and how many of its rows can be sent now."""

    notification_id: int
    claimable: int


@dataclass
class DeliverInput:
    """`claimable`: how many rows could be sent when somebody last looked; 0: unknown."""

    notification_id: int
    claimable: int = 0


@dataclass
class DeliveryReport:
    """What one delivery activity did, in rows."""

    delivered: int = 0
    failed: int = 0
    pending: int = 0


@dataclass
class BroadcastState:
    """`claimable` rows can be sent now; else the next can in `wait_seconds` (None: none will)."""

    completed: bool
    claimable: int
    wait_seconds: float | None


@dataclass
class Pass:
    """One delivery activity's report, and the state in which it left the broadcast."""

    report: DeliveryReport
    state: BroadcastState


@dataclass
class BroadcastProgress:
    """Answer of the query `get_progress`."""

    notification_id: int
    delivered: int
    failed: int
    passes: int


@dataclass
class ReminderInput:
    """A schedule's argument. `anchor_at` (ISO 8601) tells an old schedule from the present one."""

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
    """`at`: ISO 8601 instant. Not `alive`: fired, withdrawn, or the event or subscription ended."""

    alive: bool
    at: str


@dataclass
class FiredReminder:
    """The notification that a reminder became; None where there is nothing to say.

    `report`: what was sent at once, `state`: what that left (None: nobody has looked).
    """

    notification_id: int | None
    report: DeliveryReport = field(default_factory=DeliveryReport)
    state: BroadcastState | None = None


@dataclass
class MaintenanceInput:
    """`rules` are the names that are left to apply; None at the start: all."""

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
    """Rows removed, by rule."""

    removed: dict[str, int] = field(default_factory=dict[str, int])
