"""The one Temporal schedule that starts MaintenanceWorkflow."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)

from soonish.infra.temporal import RPC_TIMEOUT
from soonish.workflow_types import MaintenanceInput

SCHEDULE_ID = "soonish-maintenance"
EVERY = timedelta(hours=6)


async def ensure(client: Client, task_queue: str) -> None:
    """Make the schedule if it is not there; it starts its first run at once."""
    made = Schedule(
        action=ScheduleActionStartWorkflow(
            "MaintenanceWorkflow", MaintenanceInput(), id=SCHEDULE_ID, task_queue=task_queue
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=EVERY)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=EVERY),
    )
    try:
        await client.create_schedule(
            SCHEDULE_ID, made, trigger_immediately=True, rpc_timeout=RPC_TIMEOUT
        )
    except ScheduleAlreadyRunningError:
        return
