"""Write to the audit log, in the transaction of the recorded action; nothing else writes to it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.infra.audit import origin
from soonish.infra.db.models.audit import AuditEntry

OK, DENIED, FAILED = "ok", "denied", "failed"


def actor() -> int | None:
    """Return the id of the request's user; None if nobody is signed in or there is no request."""
    return origin.current().actor_id


def record(
    session: AsyncSession,
    action: str,
    *,
    actor_id: int | None,
    object_type: str | None = None,
    object_id: int | None = None,
    event_id: int | None = None,
    outcome: str = OK,
    details: dict[str, Any] | None = None,
) -> None:
    """Record an action of a user (None: nobody is signed in, or the operator acts).

    `action` is `object.verb`, such as `event.cancel`. `details` hold ids and names of fields,
    never an address, a text or a URL. The client comes from the current origin.
    """
    here = origin.current()
    if here.source:  # the operator acts, whatever user the command names
        actor_id, details = None, {**(details or {}), "source": here.source}
    if here.token_id:
        details = {**(details or {}), "token_id": here.token_id}
    session.add(
        AuditEntry(
            actor_user_id=actor_id,
            action=action,
            outcome=outcome,
            object_type=object_type,
            object_id=object_id,
            event_id=event_id,
            client=here.client(),
            details=details,
        )
    )
