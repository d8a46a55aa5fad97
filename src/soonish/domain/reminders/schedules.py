"""Temporal schedules of reminders: one action each, in UTC (docs/architecture.md#reminders)."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from soonish.infra.db.models.reminders import Reminder
from soonish.infra.temporal import RPC_TIMEOUT
from soonish.kit.schemas import as_z
from soonish.workflow_types import ReminderInput

WORKFLOW = "ReminderWorkflow"
MIN_CATCHUP = timedelta(seconds=10)  # the minimum Temporal accepts
SOON = timedelta(seconds=2)  # closer than this, a schedule may miss its own instant


def input_of(reminder: Reminder) -> ReminderInput:
    return ReminderInput(
        event_id=reminder.event_id,
        subscription_id=reminder.subscription_id,
        anchor=reminder.anchor,
        offset_seconds=reminder.offset_seconds,
        anchor_at=as_z(reminder.anchor_at),
        every_seconds=reminder.every_seconds,
    )


async def arm(client: Client, reminder: Reminder, task_queue: str, now: datetime) -> None:
    """Create or move the reminder's schedule; also start it directly if it is due at once."""
    schedule = _schedule(reminder, task_queue, now)
    try:
        await client.create_schedule(reminder.schedule_id, schedule, rpc_timeout=RPC_TIMEOUT)
    except ScheduleAlreadyRunningError:
        await _update(client, reminder.schedule_id, schedule)
    if reminder.due_at - now < SOON:
        await start_now(client, reminder, task_queue, max(timedelta(0), reminder.due_at - now))


async def start_now(
    client: Client, reminder: Reminder, task_queue: str, delay: timedelta = timedelta(0)
) -> None:
    """Start the reminder's workflow without its schedule; firing twice is harmless."""
    try:
        await client.start_workflow(
            WORKFLOW,
            input_of(reminder),
            id=f"{reminder.schedule_id}-{as_z(reminder.due_at)}-now",
            task_queue=task_queue,
            start_delay=delay or None,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            rpc_timeout=RPC_TIMEOUT,
        )
    except WorkflowAlreadyStartedError:
        return


async def delete(client: Client, schedule_id: str) -> None:
    """Delete a schedule, if it exists."""
    try:
        await client.get_schedule_handle(schedule_id).delete(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _update(client: Client, schedule_id: str, schedule: Schedule) -> None:
    def replace(update: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(schedule=schedule)

    await client.get_schedule_handle(schedule_id).update(replace, rpc_timeout=RPC_TIMEOUT)


def _schedule(reminder: Reminder, task_queue: str, now: datetime) -> Schedule:
    action = ScheduleActionStartWorkflow(
        WORKFLOW, input_of(reminder), id=reminder.schedule_id, task_queue=task_queue
    )
    catchup = max(MIN_CATCHUP, reminder.anchor_at - max(now, reminder.due_at))
    return Schedule(
        action=action,
        spec=_countdown(reminder) if reminder.every_seconds else _once(reminder),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL, catchup_window=catchup),
        state=ScheduleState(note=f"{reminder.anchor} {as_z(reminder.anchor_at)}"),
    )


def _once(reminder: Reminder) -> ScheduleSpec:
    at = _ceil(reminder.due_at)
    calendar = ScheduleCalendarSpec(
        second=[ScheduleRange(at.second)],
        minute=[ScheduleRange(at.minute)],
        hour=[ScheduleRange(at.hour)],
        day_of_month=[ScheduleRange(at.day)],
        month=[ScheduleRange(at.month)],
        year=[ScheduleRange(at.year)],
    )
    return ScheduleSpec(calendars=[calendar])


def _countdown(reminder: Reminder) -> ScheduleSpec:
    every = reminder.every_seconds or 0
    first = _ceil(reminder.due_at)
    offset = timedelta(seconds=int(first.timestamp()) % every)
    return ScheduleSpec(
        intervals=[ScheduleIntervalSpec(every=timedelta(seconds=every), offset=offset)],
        start_at=first - timedelta(seconds=1),
        end_at=reminder.anchor_at - timedelta(seconds=1),
    )


def _ceil(instant: datetime) -> datetime:
    """Round up: schedules have whole seconds, and none may fire early."""
    return datetime.fromtimestamp(math.ceil(instant.timestamp()), UTC)
