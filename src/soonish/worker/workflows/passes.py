"""Delivery passes over the ledger, shared by all workflows that broadcast.

See docs/architecture.md#workflows.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from soonish.workflow_types import (
    BroadcastState,
    DeliverInput,
    DeliveryReport,
    Pass,
)

LARGE = 200  # a broadcast of more rows gets its own workflow and parallel activities
PARALLEL = 4  # activities of one pass of a large broadcast
HEARTBEAT_TIMEOUT = timedelta(seconds=10)  # a worker silent for that long counts as dead
MIN_PAUSE_SECONDS = 2.0  # retries due at nearly the same time share a pass
RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30)
)


async def deliver_pass(
    notification_id: int, claimable: int, total: DeliveryReport, attempts: int = 0
) -> BroadcastState:
    """Send claimable rows, add the counts to `total`, and return the state afterwards.

    Raises ActivityError after `attempts` failed ones; 0 retries forever.
    """
    work = DeliverInput(notification_id, claimable)
    activities = PARALLEL if claimable > LARGE else 1
    passes = await asyncio.gather(*(_deliver(work, attempts) for _ in range(activities)))
    for one in passes:
        total.delivered += one.report.delivered
        total.failed += one.report.failed
        total.pending += one.report.pending
    return _merge_states([one.state for one in passes])


def _merge_states(states: list[BroadcastState]) -> BroadcastState:
    """Merge the states of activities that ended at different times: any work left counts."""
    if any(state.completed for state in states):
        return BroadcastState(completed=True, claimable=0, wait_seconds=None)
    waits = [state.wait_seconds for state in states if state.wait_seconds is not None]
    return BroadcastState(False, max(state.claimable for state in states), min(waits, default=0.0))


def pause(state: BroadcastState) -> float:
    """Return the seconds until the next pass."""
    return max(MIN_PAUSE_SECONDS, state.wait_seconds or 0.0)


async def _deliver(work: DeliverInput, attempts: int) -> Pass:
    return await workflow.execute_activity(
        "deliver",
        work,
        result_type=Pass,
        start_to_close_timeout=timedelta(hours=6),
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=replace(RETRY, maximum_attempts=attempts),
    )


async def broadcast_state(notification_id: int) -> BroadcastState:
    """Take the broadcast's outbox rows; return what can be sent now, and when the rest can."""
    return await workflow.execute_activity(
        "advance_broadcast",
        DeliverInput(notification_id),
        result_type=BroadcastState,
        start_to_close_timeout=timedelta(minutes=1),
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
    )
