"""What the reminder workflows and their activities tell each other. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


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
    """The notification that a reminder became; None where there is nothing to say."""

    notification_id: int | None
