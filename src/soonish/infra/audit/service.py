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
    /,
    actor_id: int | None,
    *,
    on: tuple[str, int] | None = None,
    event_id: int | None = None,
    outcome: str = OK,
    **details: Any,
) -> None:
    """Record that an actor (None: nobody signed in, or the operator) did something to an object.

    `action` is `object.verb`, such as `event.cancel`; `on` is the object's type and id. `details`
    hold ids and names of fields, never an address, a text or a URL. The request's origin is added
    (`audit/origin.py`).
    """
    here = origin.current()
    object_type, object_id = on or (None, None)
    if here.source:  # the operator acts, whatever user the command names
        actor_id, details["source"] = None, here.source
    if here.token_id:
        details["token_id"] = here.token_id
    session.add(
        AuditEntry(
            actor_user_id=actor_id,
            action=action,
            outcome=outcome,
            object_type=object_type,
            object_id=object_id,
            event_id=event_id,
            client=here.client(),
            details=details or None,
        )
    )
