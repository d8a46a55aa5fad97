"""Which state of a delivery may follow which (docs/architecture.md#ledger).

Every change of a state is an UPDATE made by `moving`, which asks for a state that may come before:
a transition that is not in the table changes no row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Update, update
from sqlalchemy.sql.elements import ColumnElement

from soonish.infra.db.models.notifications import OPEN_STATES, Delivery, State

# to: from
SOURCES: dict[State, tuple[State, ...]] = {
    State.PENDING: (State.SENDING, State.FAILED),
    State.SENDING: OPEN_STATES,
    State.SENT: (State.SENDING,),
    State.RETRYING: (State.SENDING,),
    State.FAILED: (State.SENDING,),
    State.EXPIRED: OPEN_STATES,
    State.SUPPRESSED: OPEN_STATES,
}
NO_LEASE: dict[str, Any] = {"lease_token": None, "lease_until": None}


def moving(to: State, *conditions: ColumnElement[bool], **values: Any) -> Update:
    """The UPDATE that takes the rows that meet the conditions, and may go there, to a state."""
    return (
        update(Delivery)
        .where(Delivery.state.in_(SOURCES[to]), *conditions)
        .values(state=to, **values)
        .execution_options(synchronize_session=False)
    )


def over(now: datetime) -> dict[str, Any]:
    """The values of a row that is done with."""
    return {"finished_at": now, "next_attempt_at": None, **NO_LEASE}
