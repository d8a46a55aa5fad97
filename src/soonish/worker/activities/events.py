"""Activities of EventWorkflow."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from temporalio import activity

from soonish.config import Settings
from soonish.delivery.ledger import completion
from soonish.infra.db.models.events import Event
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.worker.advance import Advance
from soonish.workflow_types import AdvanceInput, EventPlan, EventRef


@dataclass
class EventActivities:
    db: Database
    settings: Settings

    @activity.defn
    async def advance_event(self, work: AdvanceInput) -> EventPlan:
        """Process the event's undone outbox rows in one transaction; return what comes next."""
        async with self.db.write() as session:
            event = await session.get(Event, work.event_id)
            if event is None:
                return EventPlan(False, False, False, [], "gone", 0, None, None)
            return await Advance(session, event, self.settings, utc_now()).run(work.by_hand)

    @activity.defn
    async def close_event(self, work: EventRef) -> bool:
        """Record that the workflow is done; return False if there is still work for it."""
        async with self.db.write() as session:
            query = select(Event).where(Event.id == work.event_id).with_for_update()
            event = await session.scalar(query)
            if event is None:
                return True
            rows = await outbox.undone(session, event.temporal_workflow_id, limit=1)
            if rows or await completion.open_broadcasts(session, event.id, utc_now(), limit=1):
                return False
            event.completed_at = utc_now()
            return True
