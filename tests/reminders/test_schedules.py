"""A reminder's Temporal schedule, read back from a real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client, ScheduleDescription, ScheduleOverlapPolicy
from temporalio.service import RPCError

from soonish.domain.reminders import schedules
from soonish.infra.db.models.reminders import END, START, Reminder
from soonish.kit.schemas import as_z
from tests.support.temporal import TemporalServer

NOW = datetime.now(UTC).replace(microsecond=250_000)
QUEUE = "nobody-works-here"


@pytest.fixture
async def client(temporal_server: TemporalServer) -> Client:
    return await Client.connect(temporal_server.address)


def reminder(due_in: timedelta, anchor_in: timedelta, every: int | None = None) -> Reminder:
    due_at, anchor_at = NOW + due_in, NOW + anchor_in
    return Reminder(
        event_id=7,
        subscription_id=8,
        schedule_id=f"event-7-{uuid4()}",
        anchor=START,
        offset_seconds=int((anchor_at - due_at).total_seconds()),
        every_seconds=every,
        anchor_at=anchor_at,
        due_at=due_at,
    )


async def described(client: Client, row: Reminder) -> ScheduleDescription:
    return await client.get_schedule_handle(row.schedule_id).describe()


async def test_one_action_at_the_instant_and_never_early(client: Client) -> None:
    row = reminder(timedelta(hours=2), timedelta(hours=3))
    await schedules.arm(client, row, QUEUE, NOW)
    found = await described(client, row)
    (at,) = found.info.next_action_times
    assert timedelta(0) <= at - row.due_at < timedelta(seconds=1)
    policy = found.schedule.policy
    assert policy.overlap is ScheduleOverlapPolicy.ALLOW_ALL
    assert policy.catchup_window == timedelta(hours=1)
    await schedules.delete(client, row.schedule_id)


async def test_the_action_carries_the_anchor(client: Client) -> None:
    row = reminder(timedelta(hours=2), timedelta(hours=3))
    row.anchor = END
    made = schedules.input_of(row)
    assert (made.event_id, made.subscription_id, made.anchor) == (7, 8, END)
    assert (made.anchor_at, made.every_seconds) == (as_z(row.anchor_at), None)


async def test_arming_again_moves_it(client: Client) -> None:
    row = reminder(timedelta(hours=2), timedelta(hours=3))
    await schedules.arm(client, row, QUEUE, NOW)
    row.due_at += timedelta(days=400)
    row.anchor_at += timedelta(days=400)
    for _ in range(2):
        await schedules.arm(client, row, QUEUE, NOW)
    found = await described(client, row)
    assert [at - row.due_at < timedelta(seconds=1) for at in found.info.next_action_times] == [True]
    assert found.schedule.state.note == f"start {as_z(row.anchor_at)}"
    await schedules.delete(client, row.schedule_id)


async def test_a_countdown_is_one_schedule(client: Client) -> None:
    row = reminder(timedelta(hours=2), timedelta(hours=6, minutes=30), every=3_600)
    await schedules.arm(client, row, QUEUE, NOW)
    times = list((await described(client, row)).info.next_action_times)
    assert [round((at - row.due_at).total_seconds() / 60) for at in times] == [0, 60, 120, 180, 240]
    assert all(at >= row.due_at for at in times)
    assert all(at < row.anchor_at for at in times)
    await schedules.delete(client, row.schedule_id)


async def test_what_is_nearly_due_is_started_too(client: Client) -> None:
    row = reminder(timedelta(seconds=-30), timedelta(hours=1))
    for _ in range(2):
        await schedules.arm(client, row, QUEUE, NOW)
    handle = client.get_workflow_handle(f"{row.schedule_id}-{as_z(row.due_at)}-now")
    assert (await handle.describe()).workflow_type == "ReminderWorkflow"
    await handle.terminate()
    await schedules.delete(client, row.schedule_id)


async def test_deleting_what_is_not_there(client: Client) -> None:
    await schedules.delete(client, f"never-{uuid4()}")
    row = reminder(timedelta(hours=2), timedelta(hours=3))
    await schedules.arm(client, row, QUEUE, NOW)
    await schedules.delete(client, row.schedule_id)
    with pytest.raises(RPCError):
        await described(client, row)
