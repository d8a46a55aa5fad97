"""Audit entries in the API."""

from __future__ import annotations

from typing import Any, Literal

from soonish.kit.schemas import Instant, Output


class AuditEntryOut(Output):
    """An audit entry. `client` is a network address; organizers of an event see only their own."""

    id: int
    created_at: Instant
    actor_user_id: int | None
    action: str
    outcome: Literal["ok", "denied", "failed"]
    object_type: str | None
    object_id: int | None
    event_id: int | None
    client: str | None
    details: dict[str, Any] | None
