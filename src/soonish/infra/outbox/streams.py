"""Streams are workflow ids; the one place that knows their spelling.

See docs/temporal.md#workflows.
"""

from __future__ import annotations

import uuid

WAKE = "wake"
PARTICIPANT_ADDED = "participant_added"
PARTICIPANT_REMOVED = "participant_removed"
EVENT_UPDATED = "event_updated"
SEND_MANUAL_NOTIFICATION = "send_manual_notification"
CANCEL_EVENT = "cancel_event"
VERIFICATION_COMPLETED = "verification_completed"
ENDED = "ended"


def event(event_id: int) -> str:
    """A new id; it is kept in events.temporal_workflow_id."""
    return f"event-{event_id}-{uuid.uuid4()}"


def broadcast(notification_id: int) -> str:
    return f"notification-{notification_id}"


def remind_me(remind_me_id: int) -> str:
    return f"remind-me-{remind_me_id}"


def verification(user_id: int) -> str:
    """A new id; it is kept in registrations.workflow_id."""
    return f"user-verification-{user_id}-{uuid.uuid4()}"


def session(session_id: int) -> str:
    return f"session-{session_id}"
