"""The rows of reminders as events are made, moved and cancelled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import update

from soonish.domain.reminders import service
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.reminders import Reminder, RemindMe
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.support.api import ApiClient, in_hours, instant

DAY, HOUR = 86_400, 3_600
FIRED = ("armed_at", "fired_at", "expired_at", "removed_at")


async def standing(scene: ApiClient) -> dict[str, Reminder]:
    rows = await scene.rows(Reminder, Reminder.removed_at.is_(None))
    return {row.schedule_id: row for row in rows}


async def move(scene: ApiClient, event: dict[str, Any], hours: float) -> None:
    body = {"start_date": in_hours(hours)}
    answer = await scene.ask("owner", "PATCH", f"/api/events/{event['id']}", json=body)
    assert answer.status_code == 200, answer.text


async def mark(scene: ApiClient, schedule_id: str, **values: Any) -> None:
    async with scene.db.write() as session:
        query = update(Reminder).where(Reminder.schedule_id == schedule_id).values(**values)
        await session.execute(query)


def default(event: dict[str, Any], offset: int) -> str:
    return f"event-{event['id']}-reminder-{offset}s"


async def test_a_new_event_has_the_defaults_that_are_still_to_come(scene: ApiClient) -> None:
    far, near = await scene.make_event(), await scene.make_event(start_date=in_hours(2))
    rows = await standing(scene)
    assert set(rows) == {default(far, DAY), default(far, HOUR), default(near, HOUR)}
    one = rows[default(far, DAY)]
    assert one.due_at == one.anchor_at - timedelta(days=1)
    assert (one.anchor, one.subscription_id, one.armed_at) == ("start", None, None)


async def test_a_moved_event_is_armed_anew(scene: ApiClient) -> None:
    event = await scene.make_event()
    old = await standing(scene)
    for schedule_id in old:
        await mark(scene, schedule_id, armed_at=utc_now(), fired_at=utc_now())
    await move(scene, event, 72)
    new = await standing(scene)
    assert {k: row.id for k, row in new.items()} == {k: row.id for k, row in old.items()}
    for row in new.values():
        assert [getattr(row, name) for name in FIRED] == [None] * 4
        assert row.due_at == row.anchor_at - timedelta(seconds=row.offset_seconds)
    assert abs(new[default(event, DAY)].due_at - instant(48)) < timedelta(minutes=1)


async def test_what_is_past_after_a_move_is_taken_away_and_comes_back(scene: ApiClient) -> None:
    event = await scene.make_event()
    await move(scene, event, 3)
    assert set(await standing(scene)) == {default(event, HOUR)}
    await mark(scene, default(event, DAY), armed_at=utc_now())
    await move(scene, event, 48)
    rows = await standing(scene)
    assert set(rows) == {default(event, HOUR), default(event, DAY)}
    assert rows[default(event, DAY)].armed_at is None


async def test_a_change_of_other_things_arms_nothing_anew(scene: ApiClient) -> None:
    event = await scene.make_event()
    await mark(scene, default(event, DAY), armed_at=utc_now())
    for body in ({"name": "Other"}, {"end_date": in_hours(50)}):
        await scene.ask("owner", "PATCH", f"/api/events/{event['id']}", json=body)
    assert (await standing(scene))[default(event, DAY)].armed_at is not None


async def _choose(scene: ApiClient, event: dict[str, Any], who: str, **body: Any) -> int:
    made = await scene.subscribe_as(who, event["id"])
    address = f"/api/events/{event['id']}/reminders"
    answer = await scene.ask(who, "PUT", address, json={"offset_seconds": None, **body})
    assert answer.status_code == 200, answer.text
    return made["subscription_id"]


async def test_personal_reminders_move_with_the_event(scene: ApiClient) -> None:
    event = await scene.make_event(end_date=in_hours(100))
    sid = await _choose(
        scene,
        event,
        "member",
        offset_seconds=[600, 7200],
        end_offset_seconds=[900],
        countdown={"every_seconds": HOUR, "from_seconds": 10 * HOUR},
    )
    prefix = f"event-{event['id']}-sub-{sid}"
    names = ("reminder-600s", "reminder-7200s", "end-reminder-900s", "countdown")
    personal = {f"{prefix}-{name}" for name in names}
    assert set(await standing(scene)) == personal | {default(event, DAY), default(event, HOUR)}
    await move(scene, event, 60)
    rows = await standing(scene)
    start = rows[default(event, DAY)].anchor_at
    assert rows[f"{prefix}-reminder-600s"].due_at == start - timedelta(seconds=600)
    assert rows[f"{prefix}-countdown"].due_at == start - timedelta(hours=10)
    assert rows[f"{prefix}-countdown"].every_seconds == HOUR
    end = rows[f"{prefix}-end-reminder-900s"]
    assert end.anchor == "end"
    assert end.due_at == end.anchor_at - timedelta(seconds=900)
    await scene.ask("owner", "PATCH", f"/api/events/{event['id']}", json={"end_date": None})
    assert f"{prefix}-end-reminder-900s" not in await standing(scene)


async def test_a_countdown_under_way_keeps_to_its_instants(scene: ApiClient) -> None:
    event = await scene.make_event(start_date=in_hours(3.5))
    countdown = {"every_seconds": HOUR, "from_seconds": 5 * HOUR}
    sid = await _choose(scene, event, "member", countdown=countdown)
    row = (await standing(scene))[f"event-{event['id']}-sub-{sid}-countdown"]
    assert row.due_at == row.anchor_at - timedelta(hours=3)


async def test_cancelling_and_leaving_take_reminders_away(scene: ApiClient) -> None:
    event = await scene.make_event()
    made: dict[str, int] = {}
    for who in ("member", "outsider"):
        await _choose(scene, event, who, offset_seconds=[600])
        answer = await scene.ask(
            who, "POST", f"/api/events/{event['id']}/remind-me", json={"in_seconds": 600}
        )
        made[who] = answer.json()["id"]
    await scene.ask("member", "DELETE", f"/api/events/{event['id']}/subscribe")
    assert len(await standing(scene)) == 3
    assert len(await scene.stream(f"remind-me-{made['member']}")) == 2
    assert len(await scene.stream(f"remind-me-{made['outsider']}")) == 1
    await scene.ask("owner", "DELETE", f"/api/events/{event['id']}")
    assert await standing(scene) == {}
    assert len(await scene.stream(f"remind-me-{made['outsider']}")) == 2
    assert await scene.rows(RemindMe, RemindMe.cancelled_at.is_(None)) == []


async def test_a_subscription_that_waits_for_approval_has_no_reminders(scene: ApiClient) -> None:
    event = await scene.make_event()
    sid = await scene.subscribe(
        event["id"], "member", status="pending_approval", reminder_offsets=[600]
    )
    async with scene.db.write() as session:
        row = await session.get_one(Subscription, sid)
        found = await session.get_one(Event, event["id"])
        assert not await service.plan_subscription(session, found, row, utc_now())
        row.status = "active"
        await session.flush()
        assert await service.plan_subscription(session, found, row, utc_now())
        assert not await service.plan_subscription(session, found, row, utc_now())
    assert f"event-{event['id']}-sub-{sid}-reminder-600s" in await standing(scene)


async def test_moving_costs_the_same_however_many_have_the_defaults(scene: ApiClient) -> None:
    event = await scene.make_event()
    for who in ("member", "outsider"):
        await scene.subscribe_as(who, event["id"])
    before = await scene.rows(Reminder)
    statements: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    engine = scene.db.engine.sync_engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    await move(scene, event, 72)
    sqlalchemy_event.remove(engine, "before_cursor_execute", note)
    writes = [s for s in statements if s.startswith(("UPDATE reminders", "INSERT INTO reminders"))]
    assert len(writes) == 2  # one per default offset
    assert {row.id for row in await scene.rows(Reminder)} == {row.id for row in before}
