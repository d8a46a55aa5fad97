"""What EventWorkflow is told and what its activities answer. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from soonish.notifications.messages import BroadcastWork


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
