"""Audit entries as the API shows them."""

from __future__ import annotations

from typing import Any, Literal

from soonish.kit.schemas import Instant, Output


class AuditEntryOut(Output):
    """`client` is the network address that asked; an event's organizers see their own only."""

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
