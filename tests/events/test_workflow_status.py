"""GET /api/events/{id}/workflow/status."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import as_z
from tests.support.api import ApiClient, instant
from tests.support.temporal import TemporalServer


async def status_of(scene: ApiClient, event: dict[str, Any]) -> dict[str, Any]:
    answer = await scene.ask("owner", "GET", f"/api/events/{event['id']}/workflow/status")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_starting_while_temporal_is_away_and_has_heard_nothing(scene: ApiClient) -> None:
    event = await scene.make_event()
    told = await status_of(scene, event)
    assert told["workflow_id"] == event["temporal_workflow_id"]
    assert (told["run_id"], told["status"]) == (None, "starting")
    assert 0 <= told["outbox_lag"] < 60


async def test_unreachable_once_temporal_has_had_it(scene: ApiClient) -> None:
    event = await scene.make_event()
    await scene.mark_outbox_done(event)
    assert (await status_of(scene, event))["status"] == "unreachable"


async def test_what_temporal_says(scene: ApiClient, temporal_server: TemporalServer) -> None:
    event = await scene.make_event()
    scene.reach_temporal(temporal_server.address)
    assert (await status_of(scene, event))["status"] == "starting"
    workflow_id = event["temporal_workflow_id"]
    client = await scene.runtime.temporal.client()
    handle = await client.start_workflow("EventWorkflow", id=workflow_id, task_queue="nobody")
    told = await status_of(scene, event)
    assert (told["status"], told["run_id"]) == ("running", handle.first_execution_run_id)
    await handle.terminate()
    assert (await status_of(scene, event))["status"] == "terminated"


async def test_what_is_still_to_come(scene: ApiClient) -> None:
    start = instant(48)
    event = await scene.make_event(start_date=as_z(start))
    subscription = await scene.subscribe(event["id"])
    own = {"event_id": event["id"], "subscription_id": subscription, "anchor_at": start}
    async with scene.db.write() as session:
        session.add(Reminder(schedule_id="a", offset_seconds=60, due_at=instant(40), **own))
        session.add(
            Reminder(schedule_id="b", offset_seconds=9, every_seconds=5, due_at=instant(39), **own)
        )
        session.add(
            Reminder(schedule_id="c", offset_seconds=1, due_at=start, fired_at=utc_now(), **own)
        )
    told = await status_of(scene, event)
    prefix = f"event-{event['id']}-reminder"
    assert [(r["schedule_id"], r["kind"]) for r in told["reminders"]] == [
        (f"{prefix}-86400s", "reminder_1day"),
        (f"{prefix}-3600s", "reminder_1hour"),
        ("b", "countdown"),
        ("a", "reminder"),
    ]
    assert told["reminders"][0]["at"] == as_z(start - timedelta(days=1))


async def test_the_lag_is_the_age_of_the_oldest_undone_row(scene: ApiClient) -> None:
    event = await scene.make_event()
    (row,) = await scene.rows(OutboxRow, OutboxRow.stream == event["temporal_workflow_id"])
    async with scene.db.write() as session:
        (await session.get_one(OutboxRow, row.id)).created_at = instant(-1)
    assert 3600 <= (await status_of(scene, event))["outbox_lag"] < 3660
    await scene.mark_outbox_done(event)
    assert (await status_of(scene, event))["outbox_lag"] == 0


async def test_a_cancelled_event_has_no_reminders(scene: ApiClient) -> None:
    event = await scene.make_event()
    await scene.ask("owner", "DELETE", f"/api/events/{event['id']}")
    assert (await status_of(scene, event))["reminders"] == []


async def test_organizers_only(scene: ApiClient) -> None:
    public, private = await scene.make_event(), await scene.make_event(is_public=False)
    for event, statuses in ((public, [200, 403, 403, 401]), (private, [200, 404, 404, 401])):
        path = f"/api/events/{event['id']}/workflow/status"
        asked = [await scene.ask(who, "GET", path) for who in ("owner", "member", "outsider", None)]
        assert [answer.status_code for answer in asked] == statuses
