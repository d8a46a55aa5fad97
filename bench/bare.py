"""What Temporal alone does: schedules due at the same instant, each starting an empty workflow."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

AT_ONCE = 20  # schedules created concurrently


@workflow.defn
class Empty:
    @workflow.run
    async def run(self) -> None:
        return


async def lateness(client: Client, count: int, due: datetime, seconds: float) -> list[float]:
    """Seconds from `due` (a whole second) until each workflow had ended, by the server's clock.

    TimeoutError where some have not ended `seconds` after `due`."""
    queue = f"bench-{uuid.uuid4()}"
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=queue, workflows=[Empty], workflow_runner=runner):
        room = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(_create(client, queue, one, due, room) for one in range(count)))
        ahead = (due - datetime.now(due.tzinfo)).total_seconds()
        if ahead < 1:
            raise TimeoutError(f"{count} schedules took {-ahead:.0f} s too long to make")
        await asyncio.sleep(ahead)
        return [(at - due).total_seconds() for at in await _ended(client, queue, count, seconds)]


async def _create(
    client: Client, queue: str, number: int, due: datetime, room: asyncio.Semaphore
) -> None:
    name = f"{queue}-{number}"
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(Empty.run, id=name, task_queue=queue),
        spec=ScheduleSpec(calendars=[_only(due)]),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.ALLOW_ALL, catchup_window=timedelta(minutes=10)
        ),
        state=ScheduleState(limited_actions=True, remaining_actions=1),
    )
    async with room:
        await client.create_schedule(name, schedule)


def _only(due: datetime) -> ScheduleCalendarSpec:
    """Nothing but that instant, as `soonish.domain.reminders.schedules` has it."""
    return ScheduleCalendarSpec(
        second=[ScheduleRange(due.second)],
        minute=[ScheduleRange(due.minute)],
        hour=[ScheduleRange(due.hour)],
        day_of_month=[ScheduleRange(due.day)],
        month=[ScheduleRange(due.month)],
        year=[ScheduleRange(due.year)],
    )


async def _ended(client: Client, queue: str, count: int, seconds: float) -> list[datetime]:
    query = f'TaskQueue = "{queue}" AND ExecutionStatus = "Completed"'
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(1)
        if (await client.count_workflows(query)).count >= count:
            runs = [one async for one in client.list_workflows(query)]
            return [one.close_time for one in runs if one.close_time]
    raise TimeoutError(f"{count} bare workflows")
