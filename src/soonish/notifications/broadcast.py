"""The part that every broadcasting workflow shares: parallel passes over the ledger (DESIGN 5)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from soonish.notifications.messages import BroadcastState, DeliverInput, DeliveryReport, Pass

LARGE = 200  # claimable rows from which a broadcast is worth a workflow and several activities
PARALLEL = 4  # activities of one pass of a large broadcast
RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30)
)


async def deliver_pass(
    notification_id: int, claimable: int, total: DeliveryReport
) -> BroadcastState:
    """Send what is claimable, adding to `total`; the state afterwards."""
    activities = PARALLEL if claimable > LARGE else 1
    passes = await asyncio.gather(*(_deliver(notification_id) for _ in range(activities)))
    for one in passes:
        total.delivered += one.report.delivered
        total.failed += one.report.failed
        total.pending += one.report.pending
    # the activities end at different times; only a claim shows what the last one left
    states = [one.state for one in passes]
    return next((s for s in states if s.completed), min(states, key=lambda s: s.claimable))


async def _deliver(notification_id: int) -> Pass:
    return await workflow.execute_activity(
        "deliver",
        DeliverInput(notification_id),
        result_type=Pass,
        start_to_close_timeout=timedelta(hours=6),
        heartbeat_timeout=timedelta(seconds=10),
        retry_policy=RETRY,
    )


async def broadcast_state(notification_id: int) -> BroadcastState:
    """Take the broadcast's own outbox rows; what can be sent now, and when what cannot."""
    return await workflow.execute_activity(
        "advance_broadcast",
        DeliverInput(notification_id),
        result_type=BroadcastState,
        start_to_close_timeout=timedelta(minutes=1),
        retry_policy=RETRY,
    )
