"""Activities that deliver and settle notifications."""

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
        """Send what is claimable until nothing is left or the worker stops; then settle."""
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
            state = await completion.settle(session, work.notification_id, utc_now())
        return Pass(report, state)

    @activity.defn
    async def advance_broadcast(self, work: DeliverInput) -> BroadcastState:
        """Take the broadcast's outbox rows (channels that came back) and say what is open."""
        async with self.db.write() as session:
            await expansion.take(session, work.notification_id, utc_now())
            return await completion.settle(session, work.notification_id, utc_now())
