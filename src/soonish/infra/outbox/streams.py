"""Streams, which are workflow ids: their spelling and their workflows.

See docs/temporal.md#workflows.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from soonish.workflow_types import (
    BroadcastInput,
    EventInput,
    RemindMeWork,
    SessionInput,
    VerificationInput,
)

WAKE = "wake"
PARTICIPANT_ADDED = "participant_added"
PARTICIPANT_REMOVED = "participant_removed"
EVENT_UPDATED = "event_updated"
SEND_MANUAL_NOTIFICATION = "send_manual_notification"
CANCEL_EVENT = "cancel_event"
VERIFICATION_COMPLETED = "verification_completed"
ENDED = "ended"


def event(event_id: int) -> str:
    """Make a new id, to be stored in events.temporal_workflow_id."""
    return f"event-{event_id}-{uuid.uuid4()}"


def broadcast(notification_id: int) -> str:
    return f"notification-{notification_id}"


def remind_me(remind_me_id: int) -> str:
    return f"remind-me-{remind_me_id}"


def verification(user_id: int) -> str:
    """Make a new id, to be stored in registrations.workflow_id."""
    return f"user-verification-{user_id}-{uuid.uuid4()}"


def session(session_id: int) -> str:
    return f"session-{session_id}"


def _number(stream: str, position: int) -> int:
    return int(stream.split("-")[position])


_WORKFLOWS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "event-": ("EventWorkflow", lambda s: EventInput(_number(s, 1))),
    "notification-": ("BroadcastWorkflow", lambda s: BroadcastInput(_number(s, 1))),
    "remind-me-": ("AdhocReminderWorkflow", lambda s: RemindMeWork(_number(s, 2))),
    "user-verification-": (
        "UserVerificationWorkflow",
        lambda s: VerificationInput(_number(s, 2), s),
    ),
    "session-": ("SessionWorkflow", lambda s: SessionInput(_number(s, 1))),
}


def workflow_of(stream: str) -> tuple[str, Any]:
    """Return (workflow type, argument) of a stream. Raises ValueError for an unknown one."""
    for prefix, (name, argument) in _WORKFLOWS.items():
        if stream.startswith(prefix):
            return name, argument(stream)
    raise ValueError(f"no workflow is called {stream!r}")
