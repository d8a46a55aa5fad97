"""GET /api/events/{id}/workflow/status."""

from __future__ import annotations

from datetime import timedelta

import pytest

from soonish.db.types import utc_now
from soonish.outbox.models import OutboxRow
from soonish.reminders.models import Reminder
from soonish.schemas import as_z
from tests.events.stage import Stage, instant


@pytest.mark.parametrize("away", [False, True])
async def test_starting_until_temporal_has_it(stage: Stage, away: bool) -> None:
    event = await stage.make_event()
    stage.parts.temporal.away = away
    answer = await stage.ask("owner", "GET", f"/api/events/{event['id']}/workflow/status")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["workflow_id"], told["run_id"], told["status"]) == (
        event["temporal_workflow_id"],
        None,
        "starting",
    )
    assert 0 <= told["outbox_lag"] < 60


async def test_what_temporal_says_and_what_is_still_to_come(stage: Stage) -> None:
    start = instant(48)
    event = await stage.make_event(start_date=as_z(start))
    subscription = await stage.subscribe(event["id"])
    own = {"event_id": event["id"], "subscription_id": subscription, "anchor_at": start}
    async with stage.db.write() as session:
        session.add(Reminder(schedule_id="a", offset_seconds=60, due_at=instant(40), **own))
        session.add(
            Reminder(schedule_id="b", offset_seconds=9, every_seconds=5, due_at=instant(39), **own)
        )
        session.add(
            Reminder(schedule_id="c", offset_seconds=1, due_at=start, fired_at=utc_now(), **own)
        )
    stage.parts.temporal.known[event["temporal_workflow_id"]] = ("RUNNING", "run-1")
    told = (await stage.ask("owner", "GET", f"/api/events/{event['id']}/workflow/status")).json()
    assert (told["status"], told["run_id"]) == ("running", "run-1")
    prefix = f"event-{event['id']}-reminder"
    assert [(r["schedule_id"], r["kind"]) for r in told["reminders"]] == [
        (f"{prefix}-86400s", "reminder_1day"),
        (f"{prefix}-3600s", "reminder_1hour"),
        ("b", "countdown"),
        ("a", "reminder"),
    ]
    assert told["reminders"][0]["at"] == as_z(start - timedelta(days=1))


async def test_the_lag_is_the_age_of_the_oldest_undone_row(stage: Stage) -> None:
    event = await stage.make_event()
    path = f"/api/events/{event['id']}/workflow/status"
    (row,) = await stage.rows(OutboxRow, OutboxRow.stream == event["temporal_workflow_id"])
    async with stage.db.write() as session:
        (await session.get_one(OutboxRow, row.id)).created_at = instant(-1)
    assert 3600 <= (await stage.ask("owner", "GET", path)).json()["outbox_lag"] < 3660
    async with stage.db.write() as session:
        (await session.get_one(OutboxRow, row.id)).done_at = utc_now()
    assert (await stage.ask("owner", "GET", path)).json()["outbox_lag"] == 0


async def test_a_cancelled_event_has_no_reminders(stage: Stage) -> None:
    event = await stage.make_event()
    await stage.ask("owner", "DELETE", f"/api/events/{event['id']}")
    answer = await stage.ask("owner", "GET", f"/api/events/{event['id']}/workflow/status")
    assert answer.json()["reminders"] == []


async def test_organizers_only(stage: Stage) -> None:
    public, private = await stage.make_event(), await stage.make_event(is_public=False)
    for event, statuses in ((public, [200, 403, 403, 401]), (private, [200, 404, 404, 401])):
        path = f"/api/events/{event['id']}/workflow/status"
        asked = [await stage.ask(who, "GET", path) for who in ("owner", "member", "outsider", None)]
        assert [answer.status_code for answer in asked] == statuses
