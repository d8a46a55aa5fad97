"""What the broadcasting workflows and activities tell each other. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


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
