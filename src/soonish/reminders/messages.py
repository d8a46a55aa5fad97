"""What the reminder workflows and their activities tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from soonish.notifications.messages import BroadcastState, DeliveryReport


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
class Fired:
    """The notification that a reminder became; None where there is nothing to say.

    `report`: what was sent at once, `state`: what that left (None: nobody has looked).
    """

    notification_id: int | None
    report: DeliveryReport = field(default_factory=DeliveryReport)
    state: BroadcastState | None = None
