"""EventWorkflow with its real activities, from the creation of an event to its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import streams
from soonish.worker.workflows import event as event_workflow
from tests.support.wait import eventually
from tests.workflows.running import ORGANIZER, Running

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_the_life_of_an_event(running: Running) -> None:
    event = await running.create(reminders=[86_400, 3_600])
    (created,) = await eventually(lambda: running.mail.to(ORGANIZER), 20, "the creation notice")
    assert created.message["Subject"] == "Your event Summer party is ready"
    wanted = [f"event-{event.id}-reminder-{offset}s" for offset in (3_600, 86_400)]
    await eventually(lambda: has_schedules(running, wanted), 20, "its schedules")

    member = await running.welcome(event)
    assert await running.titles(1) == ["You're subscribed to Summer party"]
    await running.change(event, location="Garden", start_date=event.start_date + timedelta(days=1))
    assert (await running.titles(2))[1] == "Summer party has changed"
    await running.world.notify(event, title="Bring a cake")
    assert (await running.titles(3))[2] == "Bring a cake"

    handle = running.handle(event.temporal_workflow_id)
    status = await handle.query("get_status")
    assert (status["event_id"], status["status"], status["subscriber_count"]) == (
        event.id, "scheduled", 1,
    )  # fmt: skip

    await running.cancel(event)
    assert await running.result(event.temporal_workflow_id) == "cancelled"
    assert (await running.titles(4))[3] == "Summer party is cancelled"
    assert await running.schedule_ids() == []
    row = await running.world.one(Event, Event.id == event.id)
    assert row.completed_at is not None
    assert await running.world.rows(OutboxRow, OutboxRow.done_at.is_(None)) == []
    assert len(running.http.at("/hook")) == 4
    assert await running.world.rows(Reminder) == []
    await running.keep("event-life-and-cancellation", event.temporal_workflow_id)

    await running.world.end(member.id)
    payload = {"subscription_id": member.id}
    await running.world.tell(event, streams.PARTICIPANT_REMOVED, payload)
    farewell = await eventually(lambda: farewells(running), 20, "the farewell")
    await running.completed(farewell.id)
    assert await running.result(event.temporal_workflow_id) == "cancelled"


async def has_schedules(running: Running, wanted: list[str]) -> bool:
    return await running.schedule_ids() == sorted(wanted)


async def farewells(running: Running) -> Notification | None:
    found = await running.world.rows(Notification, Notification.kind == "unsubscribed")
    return found[0] if found else None


@SQLITE
async def test_an_event_ends_with_its_grace(running: Running) -> None:
    running.runtime.settings.event_grace_days = 0
    event = await running.create(starts_in=timedelta(seconds=3), reminders=[])
    await running.welcome(event)
    await running.titles(1)
    assert await running.result(event.temporal_workflow_id) == "ended"
    assert utc_now() >= event.start_date
    await running.keep("event-grace", event.temporal_workflow_id)


async def test_a_burst_shares_few_activities(installation: Running) -> None:
    running = installation
    event = await running.create()
    ids = await running.world.crowd(event, 300)
    for one in ids:
        await running.world.tell(event, streams.PARTICIPANT_ADDED, {"subscription_id": one})
    async with running.worker():
        await eventually(lambda: len(running.mail.mails) >= 301, 60, "300 welcomes")
        welcome = await running.world.one(Notification, Notification.kind == "welcome")
        await running.completed(welcome.id)
    assert len(running.mail.mails) == 301
    events = await running.events_of(event.temporal_workflow_id)
    assert events.count("EVENT_TYPE_ACTIVITY_TASK_SCHEDULED") <= 12
    assert len(events) < 120


@SQLITE
async def test_it_goes_on_in_a_new_run(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_workflow, "MAX_WAIT", timedelta(seconds=1))
    event = await running.create()
    handle = await running.started(event.temporal_workflow_id)
    first = (await handle.describe()).run_id

    async def is_next_run() -> bool:
        return (await handle.describe()).run_id != first

    await eventually(is_next_run, 20, "a second run")
    monkeypatch.setattr(event_workflow, "MAX_WAIT", timedelta(days=30))
    await running.welcome(event)
    assert await running.titles(1) == ["You're subscribed to Summer party"]
    await running.keep("event-continued", event.temporal_workflow_id, first)
    await running.cancel(event)
    await running.result(event.temporal_workflow_id)
    assert len(running.mail.to(ORGANIZER)) == 1


@SQLITE
async def test_signals_by_hand(running: Running) -> None:
    """As `temporal workflow signal` sends them: with less, more or other input than ours."""
    event = await running.create()
    member = await running.welcome(event)
    await running.titles(1)
    handle = running.handle(event.temporal_workflow_id)
    for name in ("wake", "participant_added", "participant_removed", "event_updated",
                 "send_manual_notification", "first_pass_done"):  # fmt: skip
        await handle.signal(name)
        await handle.signal(name, "nonsense")
        await handle.signal(name, [{"subscription_id": "x", "update_id": "y"}, 7, None])
    payload: Any = {"title": "By hand", "body": "Hello", "subscription_ids": [member.id]}
    await handle.signal("send_manual_notification", payload)
    assert (await running.titles(2))[1] == "By hand"
    await running.keep("event-signals-by-hand", event.temporal_workflow_id)
    await handle.signal("cancel_event")
    assert await running.result(event.temporal_workflow_id) == "cancelled"


@SQLITE
async def test_a_notification_that_cannot_be_rendered_holds_up_no_other(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_workflow, "FIRST_PASS_ATTEMPTS", 2)
    event = await running.create()
    await running.welcome(event)
    await running.titles(1)
    poison = await running.world.notify(event, title="Poison", content={"changes": 5})
    await running.world.notify(event, title="Good")
    assert (await running.titles(2))[1] == "Good"
    child = await running.started(streams.broadcast(poison.id))
    await running.keep("event-poison", event.temporal_workflow_id)
    await child.terminate("the test is over")


@SQLITE
async def test_temporal_lost_everything(running: Running) -> None:
    """The run is gone, as after its store was deleted: the next commit starts another."""
    event = await running.create()
    await running.welcome(event)
    await running.titles(1)
    await running.handle(event.temporal_workflow_id).terminate("lost")
    await running.world.notify(event, title="Still here")
    assert (await running.titles(2))[1] == "Still here"
    assert len(running.mail.to(ORGANIZER)) == 1
