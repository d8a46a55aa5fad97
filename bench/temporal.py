"""What a running system has in Temporal: armed reminders, the length of histories."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

from sqlalchemy import func, select
from temporalio.client import Client, WorkflowExecutionStatus

from bench.harness import System
from bench.seed import Seed
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.session import Database


def wait_until_armed(seed: Seed, count: int, seconds: float) -> None:
    """Return when `count` reminders are armed; TimeoutError after `seconds`."""

    async def wait(db: Database) -> None:
        armed = select(func.count()).select_from(Reminder).where(Reminder.armed_at.is_not(None))
        found, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            async with db.read() as session:
                if (found := await session.scalar(armed) or 0) >= count:
                    return
            await asyncio.sleep(0.5)
        raise TimeoutError(f"{found} of {count} reminders armed")

    seed.run(wait)


async def connect(running: System) -> Client:
    """A client of the running system's Temporal."""
    return await Client.connect(f"127.0.0.1:{running.environment['TEMPORAL_PORT']}")


async def wait_until_due(
    client: Client, schedule_ids: list[str], due: list[datetime], seconds: float = 60
) -> float:
    """The monotonic time at which each schedule's next action was seen to be as `due` says."""
    handles = [client.get_schedule_handle(one) for one in schedule_ids]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = [(await handle.describe()).info.next_action_times[:1] for handle in handles]
        if found == [[at] for at in due]:
            return time.monotonic()
        await asyncio.sleep(0.02)
    raise TimeoutError("re-armed schedules")


async def history_events(running: System, workflow_id: str, seconds: float = 60) -> int:
    """Events in the histories of all runs of a workflow, once it has ended."""
    client = await connect(running)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        runs = [one async for one in client.list_workflows(f'WorkflowId = "{workflow_id}"')]
        if runs and all(one.status is not WorkflowExecutionStatus.RUNNING for one in runs):
            return sum([await _length(client, workflow_id, one.run_id) for one in runs])
        await asyncio.sleep(0.2)
    raise TimeoutError(f"the end of {workflow_id}")


async def _length(client: Client, workflow_id: str, run_id: str) -> int:
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    return (await handle.describe()).history_length
