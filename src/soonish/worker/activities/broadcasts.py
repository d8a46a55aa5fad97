"""Activities that deliver notifications and complete them."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from soonish.delivery.ledger import completion, expansion
from soonish.delivery.sending.deliverer import Deliverer
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.workflow_types import BroadcastState, DeliverInput, Pass


@dataclass
class BroadcastActivities:
    db: Database
    deliverer: Deliverer

    @activity.defn
    async def deliver(self, work: DeliverInput) -> Pass:
        """Send claimable rows until none are left or the worker stops; then complete if done."""
        info = activity.info()
        owner = f"{info.workflow_run_id}:{info.activity_id}"
        report = await self.deliverer.run(
            work.notification_id,
            owner,
            info.attempt,
            activity.is_worker_shutdown,
            expected=work.claimable,
        )
        async with self.db.write() as session:
            state = await completion.complete_if_done(session, work.notification_id, utc_now())
        return Pass(report, state)

    @activity.defn
    async def advance_broadcast(self, work: DeliverInput) -> BroadcastState:
        """Take the broadcast's outbox rows (channels that are back); return what is left."""
        async with self.db.write() as session:
            await expansion.consume_outbox(session, work.notification_id, utc_now())
            return await completion.complete_if_done(session, work.notification_id, utc_now())
