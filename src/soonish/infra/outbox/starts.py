"""Which workflow a stream is: its type and its argument, from the stream's spelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from soonish.workflow_types import (
    BroadcastInput,
    EventInput,
    RemindMeWork,
    SessionInput,
    VerificationInput,
)


def _number(stream: str, position: int) -> int:
    return int(stream.split("-")[position])


_STARTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "event-": ("EventWorkflow", lambda s: EventInput(_number(s, 1))),
    "notification-": ("BroadcastWorkflow", lambda s: BroadcastInput(_number(s, 1))),
    "remind-me-": ("AdhocReminderWorkflow", lambda s: RemindMeWork(_number(s, 2))),
    "user-verification-": (
        "UserVerificationWorkflow",
        lambda s: VerificationInput(_number(s, 2), s),
    ),
    "session-": ("SessionWorkflow", lambda s: SessionInput(_number(s, 1))),
}


def start_of(stream: str) -> tuple[str, Any]:
    """(workflow type, its argument). ValueError for a stream that is no workflow of ours."""
    for prefix, (name, argument) in _STARTS.items():
        if stream.startswith(prefix):
            return name, argument(stream)
    raise ValueError(f"no workflow is called {stream!r}")
