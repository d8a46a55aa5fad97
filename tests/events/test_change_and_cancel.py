"""PATCH and DELETE /api/events/{id}: who may, what is announced, and how often."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from soonish.infra.db.models.events import Event, EventTag, EventUpdate
from soonish.infra.db.models.reminders import Reminder
from soonish.kit.schemas import as_z
from tests.support.api import ApiClient, code_of, fields_of, in_hours, instant


async def patch(
    scene: ApiClient, event: dict[str, Any], who: str | None = "owner", **fields: Any
) -> Any:
    return await scene.ask(who, "PATCH", f"/api/events/{event['id']}", json=fields)


async def test_a_change_is_logged_and_told_with_old_and_new(scene: ApiClient) -> None:
    event = await scene.make_event(tags=["a"], location="Here")
    start = in_hours(72)
    answer = await patch(
        scene, event, name="Winter party", start_date=start, tags=["B", "c"], location=None
    )
    assert answer.status_code == 200
    changed = answer.json()
    assert (changed["name"], changed["start_date"], changed["tags"]) == (
        "Winter party",
        start,
        ["b", "c"],
    )
    assert changed["slug"] == event["slug"]
    assert changed["updated_at"] > event["updated_at"]
    update = (await scene.rows(EventUpdate))[0]
    assert update.changes == [
        {"field": "name", "old": "Summer party", "new": "Winter party"},
        {"field": "start_date", "old": event["start_date"], "new": start},
        {"field": "location", "old": "Here", "new": None},
        {"field": "tags", "old": "a", "new": "b, c"},
    ]
    assert (await scene.outbox_of(event))[1:] == [("event_updated", {"update_id": update.id})]


@pytest.mark.parametrize(
    ("fields", "category"),
    [
        ({"start_date": in_hours(50)}, "schedule_change"),
        ({"end_date": in_hours(60)}, "schedule_change"),
        ({"timezone": "Europe/Paris"}, "schedule_change"),
        ({"timezone": "Europe/Paris", "name": "Other"}, "schedule_change"),
        ({"name": "Other"}, "general"),
        ({"is_public": False}, "general"),
        ({"tags": ["new"]}, "general"),
    ],
)
async def test_the_log_tells_what_kind_of_change(
    scene: ApiClient, fields: dict[str, Any], category: str
) -> None:
    event = await scene.make_event()
    assert (await patch(scene, event, **fields)).status_code == 200
    log = (await scene.ask("owner", "GET", f"/api/events/{event['id']}/updates")).json()
    assert log["next_cursor"] is None
    (entry,) = log["items"]
    assert entry["category"] == category
    assert entry["title"].endswith("has changed")
    assert len(entry["body"].splitlines()) == len(fields)
    assert " → " in entry["body"]


@pytest.mark.parametrize(
    "same", [{}, {"name": " Summer party "}, {"tags": ["X"]}, {"end_date": None}]
)
async def test_a_patch_that_changes_nothing_tells_nobody(
    scene: ApiClient, same: dict[str, Any]
) -> None:
    event = await scene.make_event(tags=["x"])
    answer = await patch(scene, event, **same)
    assert (answer.status_code, answer.json()) == (200, event)
    moved = event["start_date"].replace("Z", "+00:00")
    assert (await patch(scene, event, start_date=moved)).json() == event
    assert await scene.rows(EventUpdate) == []
    assert len(await scene.outbox_of(event)) == 1


async def test_a_patch_without_a_body_is_422(scene: ApiClient) -> None:
    event = await scene.make_event()
    answer = await scene.ask("owner", "PATCH", f"/api/events/{event['id']}")
    assert fields_of(answer) == ["body"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"start_date": in_hours(-1)}, "start_date"),
        ({"start_date": in_hours(52)}, "start_date"),  # the end is in 50 hours
        ({"end_date": in_hours(47)}, "end_date"),
        ({"start_date": in_hours(60), "end_date": in_hours(59)}, "end_date"),
        ({"id": 5}, "id"),
        ({"owner_user_id": 5}, "owner_user_id"),
    ],
)
async def test_the_merged_event_has_to_make_sense(
    scene: ApiClient, fields: dict[str, Any], named: str
) -> None:
    event = await scene.make_event(end_date=in_hours(50))
    assert fields_of(await patch(scene, event, **fields)) == [named]
    assert (await scene.ask(None, "GET", f"/api/events/{event['id']}")).json() == event


async def test_an_event_under_way_may_change_but_not_into_the_past(scene: ApiClient) -> None:
    event = await scene.make_event()
    start, end = instant(-1), instant(1)
    await scene.change(event["id"], start_date=start, end_date=end)
    assert (await patch(scene, event, name="Still on")).status_code == 200
    assert (await patch(scene, event, start_date=as_z(start), location="x")).status_code == 200
    assert fields_of(await patch(scene, event, end_date=in_hours(-0.5))) == ["end_date"]
    assert fields_of(await patch(scene, event, end_date=None)) == ["end_date"]
    assert (await patch(scene, event, end_date=in_hours(2))).status_code == 200


async def test_moving_an_event_moves_its_reminders(scene: ApiClient) -> None:
    event = await scene.make_event()
    start = instant(96)
    await patch(scene, event, start_date=as_z(start))
    rows = await scene.rows(Reminder)
    assert {row.offset_seconds: (start - row.due_at).total_seconds() for row in rows} == {
        86_400: 86_400,
        3_600: 3_600,
    }
    assert {row.anchor_at for row in rows} == {start}


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_only_the_owner_may(scene: ApiClient, method: str) -> None:
    public, private = await scene.make_event(), await scene.make_event(is_public=False)
    for event in (public, private):
        await scene.subscribe(event["id"], "member")

    async def status(event: dict[str, Any], who: str | None) -> int:
        body = {"name": "Mine"} if method == "PATCH" else None
        path = f"/api/events/{event['id']}"
        return (await scene.ask(who, method, path, json=body)).status_code

    assert [await status(public, who) for who in ("member", "outsider", None)] == [403, 403, 401]
    assert [await status(private, who) for who in ("member", "outsider", None)] == [403, 404, 401]
    assert await scene.rows(EventUpdate) == []
    assert {event.cancelled_at for event in await scene.rows(Event)} == {None}


async def test_a_cancellation_is_told_once_and_the_event_stays(scene: ApiClient) -> None:
    event = await scene.make_event(tags=["kept"])
    path = f"/api/events/{event['id']}"
    answers = [await scene.ask("owner", "DELETE", path) for _ in range(3)]
    assert [(a.status_code, a.content) for a in answers] == [(204, b"")] * 3
    assert (await scene.outbox_of(event))[1:] == [("cancel_event", {})]
    (entry,) = (await scene.ask(None, "GET", f"{path}/updates")).json()["items"]
    assert (entry["category"], entry["title"]) == ("cancelled", "Summer party is cancelled")
    read = (await scene.ask(None, "GET", path)).json()
    assert (read["status"], read["tags"]) == ("cancelled", ["kept"])
    assert all(row.removed_at for row in await scene.rows(Reminder))
    assert code_of(await patch(scene, event, name="Back")) == (409, "event_cancelled")


async def test_cancellations_at_the_same_time_are_one(scene: ApiClient) -> None:
    event = await scene.make_event()
    path = f"/api/events/{event['id']}"
    answers = await asyncio.gather(*(scene.ask("owner", "DELETE", path) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {204}
    assert len(await scene.outbox_of(event)) == 2


async def test_changes_at_the_same_time_leave_a_chain(scene: ApiClient) -> None:
    event = await scene.make_event(name="0")
    names = [str(n) for n in range(1, 9)]
    answers = await asyncio.gather(*(patch(scene, event, name=name) for name in names))
    assert {answer.status_code for answer in answers} == {200}
    log = sorted(await scene.rows(EventUpdate), key=lambda row: row.id)
    steps = [(row.changes[0]["old"], row.changes[0]["new"]) for row in log]
    assert [old for old, _ in steps] == ["0", *(new for _, new in steps[:-1])]


async def test_a_past_event_is_left_as_it_was(scene: ApiClient) -> None:
    event = await scene.make_event()
    await scene.change(event["id"], start_date=instant(-3), end_date=instant(-1))
    assert code_of(await patch(scene, event, name="New")) == (409, "event_over")
    answer = await scene.ask("owner", "DELETE", f"/api/events/{event['id']}")
    assert code_of(answer) == (409, "event_over")


async def test_a_past_event_that_was_cancelled_says_so_again(scene: ApiClient) -> None:
    event = await scene.make_event()
    path = f"/api/events/{event['id']}"
    await scene.ask("owner", "DELETE", path)
    await scene.change(event["id"], start_date=instant(-3))
    assert (await scene.ask("owner", "DELETE", path)).status_code == 204


async def test_tags_are_replaced_as_a_whole(scene: ApiClient) -> None:
    event = await scene.make_event(tags=["a", "b"])
    assert (await patch(scene, event, tags=["b", "c"])).json()["tags"] == ["b", "c"]
    assert (await patch(scene, event, tags=[])).json()["tags"] == []
    assert await scene.rows(EventTag) == []
    (newest, first) = (await scene.ask(None, "GET", f"/api/events/{event['id']}/updates")).json()[
        "items"
    ]
    assert newest["changes"] == [{"field": "tags", "old": "b, c", "new": None}]
    assert first["changes"] == [{"field": "tags", "old": "a, b", "new": "b, c"}]
