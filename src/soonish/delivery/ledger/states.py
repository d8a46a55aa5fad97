"""The allowed transitions between the states of a delivery (docs/architecture.md#ledger).

Every change is an UPDATE built by `transition`, which requires a state that may come before:
a transition that is not in the table changes no row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Update, update
from sqlalchemy.sql.elements import ColumnElement

from soonish.infra.db.models.notifications import OPEN_STATES, Delivery, DeliveryState

# to: from
SOURCES: dict[DeliveryState, tuple[DeliveryState, ...]] = {
    DeliveryState.PENDING: (DeliveryState.SENDING, DeliveryState.FAILED),
    DeliveryState.SENDING: OPEN_STATES,
    DeliveryState.SENT: (DeliveryState.SENDING,),
    DeliveryState.RETRYING: (DeliveryState.SENDING,),
    DeliveryState.FAILED: (DeliveryState.SENDING,),
    DeliveryState.EXPIRED: OPEN_STATES,
    DeliveryState.SUPPRESSED: OPEN_STATES,
}
NO_LEASE: dict[str, Any] = {"lease_token": None, "lease_until": None}


def transition(to: DeliveryState, *conditions: ColumnElement[bool], **values: Any) -> Update:
    """Build the UPDATE to a state, of matching rows that are in a state that may precede it."""
    return (
        update(Delivery)
        .where(Delivery.state.in_(SOURCES[to]), *conditions)
        .values(state=to, **values)
        .execution_options(synchronize_session=False)
    )


def finished_values(now: datetime) -> dict[str, Any]:
    """Return the column values of a finished row, except its state."""
    return {"finished_at": now, "next_attempt_at": None, **NO_LEASE}
