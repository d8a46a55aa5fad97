"""Reminders and remind-mes: schedules of a real Temporal, fired and delivered."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from soonish.domain.reminders import schedules, service
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.reminders import Reminder, RemindMe
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams
from soonish.worker.activities import reminders
from tests.support.wait import eventually
from tests.workflows.running import Running

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def remind(
    running: Running, event: Event, due_at: datetime, subscription_id: int | None = None
) -> Reminder:
    """A reminder due at this instant, and the wake that has it armed."""
    offset = int((event.start_date - due_at).total_seconds())
    middle = f"-sub-{subscription_id}" if subscription_id else ""
    async with running.runtime.db.write() as session:
        row = Reminder(
            event_id=event.id,
            subscription_id=subscription_id,
            schedule_id=f"event-{event.id}{middle}-reminder-{offset}s",
            offset_seconds=offset,
            anchor_at=event.start_date,
            due_at=event.start_date - timedelta(seconds=offset),
        )
        session.add(row)
        outbox.add(session, event.temporal_workflow_id, streams.WAKE, {"event_id": event.id})
    return row


async def started_by_hand(running: Running, reminder: Reminder, name: str) -> str:
    """The answer of a ReminderWorkflow of this name that runs now, whenever it should."""
    return await running.client.execute_workflow(
        "ReminderWorkflow",
        schedules.input_of(reminder),
        id=name,
        task_queue=running.runtime.settings.workflow_queue,
    )


async def test_a_reminder_fires_once_at_its_instant(running: Running) -> None:
    event = await running.create()
    owner = await running.welcome(event, "/owner")
    await running.welcome(event, "/other")
    await running.titles(1, "/other")
    row = await remind(running, event, utc_now() + timedelta(seconds=5), owner.id)
    titles = await running.titles(2, "/owner")
    late = (utc_now() - row.due_at).total_seconds()
    assert 0 <= late < 3
    assert titles[1].startswith("Summer party starts in")
    notice = await running.world.one(Notification, Notification.kind == "reminder")
    await running.completed(notice.id)
    assert (await running.world.one(Reminder)).fired_at is not None
    ids = await running.workflow_ids("ReminderWorkflow")
    assert len(ids) == 1
    assert (await running.result(ids[0])) == "delivered 1, failed 0"
    kinds = await running.events_of(ids[0])
    assert kinds.count("EVENT_TYPE_ACTIVITY_TASK_SCHEDULED") == 1, "it fires and sends in one"
    assert len(running.http.at("/owner")) == 2
    assert len(running.http.at("/other")) == 1
    await running.keep("reminder", ids[0])


async def test_a_default_reaches_those_that_chose_nothing(running: Running) -> None:
    event = await running.create()
    await running.welcome(event, "/default")
    chosen = await running.welcome(event, "/chosen")
    await running.world.change(Subscription, chosen.id, reminder_offsets=[])
    await running.titles(1, "/chosen")
    await remind(running, event, utc_now() + timedelta(seconds=1))  # too near for a schedule alone
    await running.titles(2, "/default")
    notice = await running.world.one(Notification, Notification.kind == "reminder")
    await running.completed(notice.id)
    assert len(running.http.at("/default")) == 2
    assert len(running.http.at("/chosen")) == 1


@SQLITE
async def test_a_large_audience_is_left_to_the_workflow(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminders, "LARGE", 1)
    event = await running.create()
    for path in ("/one", "/other"):
        await running.welcome(event, path)
    await running.titles(1, "/other")
    await remind(running, event, utc_now() + timedelta(seconds=5))
    for path in ("/one", "/other"):
        await running.titles(2, path)
    (workflow_id,) = await running.workflow_ids("ReminderWorkflow")
    assert await running.result(workflow_id) == "delivered 2, failed 0"
    assert [len(running.http.at(path)) for path in ("/one", "/other")] == [2, 2]


@SQLITE
async def test_an_old_schedule_writes_nothing_after_a_move(running: Running) -> None:
    event = await running.create(starts_in=timedelta(hours=2), reminders=[3_600])
    await running.welcome(event)
    await running.titles(1)
    old = await running.world.one(Reminder)
    later = event.start_date + timedelta(hours=1)
    await running.change(event, reminders=[3_600], start_date=later)
    assert (await running.titles(2))[1] == "Summer party has changed"
    answer = await started_by_hand(running, old, "an-old-action")
    assert answer == "not wanted any more"
    assert await running.world.rows(Notification, Notification.kind == "reminder_1hour") == []
    await running.keep("reminder-not-wanted", "an-old-action")
    (row,) = await running.world.rows(Reminder)
    assert row.fired_at is None


@SQLITE
async def test_a_schedule_moved_while_it_fires_does_not_send_at_the_old_instant(
    running: Running,
) -> None:
    """Temporal then starts its workflow at once, with the new arguments."""
    event = await running.create(starts_in=timedelta(hours=2), reminders=[3_600])
    await running.welcome(event)
    await running.titles(1)
    row = await running.world.one(Reminder)
    answer = await started_by_hand(running, row, "an-hour-too-early")
    assert answer == "not wanted any more"
    assert await running.world.rows(Notification, Notification.kind == "reminder_1hour") == []
    assert (await running.world.one(Reminder)).fired_at is None


@SQLITE
async def test_a_little_too_early_a_reminder_waits_for_its_instant(running: Running) -> None:
    event = await running.create()
    await running.welcome(event)
    await running.titles(1)
    row = await remind(running, event, utc_now() + timedelta(seconds=5))
    answer = await started_by_hand(running, row, "seconds-too-early")
    assert answer == "delivered 1, failed 0"
    notice = await running.world.one(Notification, Notification.kind == "reminder")
    assert notice.created_at >= row.due_at

    async def both() -> list[str]:
        ids = await running.workflow_ids("ReminderWorkflow")
        return ids if len(ids) == 2 else []

    for workflow_id in await eventually(both, 20, "its own schedule"):
        await running.result(workflow_id)
    assert len(running.http.at("/hook")) == 2, "which adds nothing"


@SQLITE
async def test_schedules_follow_their_rows(running: Running) -> None:
    event = await running.create(reminders=[3_600, 7_200])
    wanted = [f"event-{event.id}-reminder-{offset}s" for offset in (3_600, 7_200)]
    await eventually(lambda: same(running, wanted), 20, "both schedules")
    start = event.start_date + timedelta(days=1)
    async with running.runtime.db.write() as session:
        row = await session.get_one(Event, event.id, with_for_update=True)
        row.start_date = start
        await service.plan_event(session, row, utc_now(), [3_600])
        outbox.add(session, event.temporal_workflow_id, streams.WAKE, {"event_id": event.id})
    await eventually(lambda: same(running, wanted[:1]), 20, "the one that is left")
    handle = running.client.get_schedule_handle(wanted[0])

    async def moved() -> bool:
        """Schedules know whole seconds, and none may be early."""
        times = (await handle.describe()).info.next_action_times
        late = [at - (start - timedelta(hours=1)) for at in times]
        return len(late) == 1 and timedelta(0) <= late[0] < timedelta(seconds=1)

    await eventually(moved, 20, "the schedule to have moved")


async def same(running: Running, wanted: list[str]) -> bool:
    return await running.schedule_ids() == sorted(wanted)


async def remind_me(running: Running, subscription_id: int, seconds: float) -> RemindMe:
    async with running.runtime.db.write() as session:
        row = RemindMe(subscription_id=subscription_id, at=utc_now() + timedelta(seconds=seconds))
        session.add(row)
        await session.flush()
        outbox.add(session, streams.remind_me(row.id), streams.WAKE, {})
    return row


async def test_a_remind_me_comes_when_asked_for(running: Running) -> None:
    event = await running.create()
    member = await running.welcome(event)
    await running.titles(1)
    row = await remind_me(running, member.id, 2.0)
    await running.titles(2)
    assert 0 <= (utc_now() - row.at).total_seconds() < 3
    stream = streams.remind_me(row.id)
    assert await running.result(stream) == "delivered 1, failed 0"
    assert (await running.world.one(RemindMe)).fired_at is not None
    await running.keep("remind-me", stream)
    async with running.runtime.db.write() as session:  # a repeated poke sends nothing again
        outbox.add(session, stream, streams.WAKE, {})
    await running.result(stream)
    assert len(running.http.at("/hook")) == 2


@SQLITE
async def test_a_remind_me_that_is_withdrawn_ends(running: Running) -> None:
    event = await running.create()
    member = await running.welcome(event)
    await running.titles(1)
    row = await remind_me(running, member.id, 3_600)
    stream = streams.remind_me(row.id)
    await running.started(stream)
    await running.world.change(RemindMe, row.id, cancelled_at=utc_now())
    async with running.runtime.db.write() as session:
        outbox.add(session, stream, streams.WAKE, {})
    assert await running.result(stream) == "not wanted any more"
    await running.keep("remind-me-withdrawn", stream)
