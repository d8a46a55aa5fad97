"""One's own reminders and remind-mes over HTTP."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from soonish.infra.db.models.reminders import Reminder, RemindMe
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import as_z
from tests.support.api import ApiClient, code_of, fields_of, in_hours, instant

YEAR = 31_536_000
NOTHING = {"offset_seconds": None, "end_offset_seconds": None, "countdown": None}


def reminders(event: dict[str, Any]) -> str:
    return f"/api/events/{event['id']}/reminders"


def remind_me(event: dict[str, Any], row_id: int | str = "") -> str:
    return f"/api/events/{event['id']}/remind-me" + (f"/{row_id}" if row_id else "")


async def subscribed(scene: ApiClient, **fields: Any) -> dict[str, Any]:
    event = await scene.make_event(**fields)
    await scene.subscribe_as("member", event["id"])
    return event


async def test_put_replaces_everything_and_answers_as_get(scene: ApiClient) -> None:
    event = await subscribed(scene, end_date=in_hours(60))
    assert (await scene.ask("member", "GET", reminders(event))).json() == NOTHING
    wanted = {
        "offset_seconds": [600, 60, 600, YEAR],
        "end_offset_seconds": [900],
        "countdown": {"every_seconds": 3600, "from_seconds": 86_400},
    }
    put = await scene.ask("member", "PUT", reminders(event), json=wanted)
    assert (put.status_code, put.json()) == (200, wanted | {"offset_seconds": [600, 60, YEAR]})
    assert (await scene.ask("member", "GET", reminders(event))).json() == put.json()
    again = await scene.ask("member", "PUT", reminders(event), json=put.json())
    assert again.json() == put.json()
    for offsets in ([], None):
        put = await scene.ask("member", "PUT", reminders(event), json={"offset_seconds": offsets})
        assert put.json() == NOTHING | {"offset_seconds": offsets}
        assert (await scene.ask("member", "GET", reminders(event))).json() == put.json()


async def test_a_change_wakes_the_event_and_no_change_does_not(scene: ApiClient) -> None:
    event = await subscribed(scene)
    for _ in range(2):
        await scene.ask("member", "PUT", reminders(event), json={"offset_seconds": [600]})
    assert (await scene.outbox_of(event))[2:] == [("wake", {"event_id": event["id"]})]
    rows = await scene.rows(Reminder, Reminder.subscription_id.is_not(None))
    assert [row.offset_seconds for row in rows] == [600]
    await scene.ask("member", "PUT", reminders(event), json={"offset_seconds": None})
    assert len((await scene.outbox_of(event))[2:]) == 2
    [row] = await scene.rows(Reminder, Reminder.subscription_id.is_not(None))
    assert row.removed_at is not None


async def test_what_was_given_up_can_be_wanted_again(scene: ApiClient) -> None:
    event = await subscribed(scene)
    for offsets in ([600], [], [600]):
        await scene.ask("member", "PUT", reminders(event), json={"offset_seconds": offsets})
    [row] = await scene.rows(Reminder, Reminder.subscription_id.is_not(None))
    assert row.removed_at is None


async def test_an_offset_that_is_past_is_kept_but_made_only_after_a_move(scene: ApiClient) -> None:
    event = await subscribed(scene)
    put = await scene.ask("member", "PUT", reminders(event), json={"offset_seconds": [7 * 86_400]})
    assert put.json()["offset_seconds"] == [7 * 86_400]
    personal = Reminder.subscription_id.is_not(None)
    assert await scene.rows(Reminder, personal) == []
    body = {"start_date": in_hours(24 * 30)}
    await scene.ask("owner", "PATCH", f"/api/events/{event['id']}", json=body)
    assert len(await scene.rows(Reminder, personal)) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "offset_seconds"),
        ({"offset_seconds": [59]}, "offset_seconds.0"),
        ({"offset_seconds": [YEAR + 1]}, "offset_seconds.0"),
        ({"offset_seconds": ["600"]}, "offset_seconds.0"),
        ({"offset_seconds": [True]}, "offset_seconds.0"),
        ({"offset_seconds": [600.5]}, "offset_seconds.0"),
        ({"offset_seconds": list(range(60, 71))}, "offset_seconds"),
        ({"offset_seconds": 600}, "offset_seconds"),
        ({"offset_seconds": None, "end_offset_seconds": [600]}, "end_offset_seconds"),
        (
            {"offset_seconds": None, "countdown": {"every_seconds": 3599, "from_seconds": 7200}},
            "countdown.every_seconds",
        ),
        ({"offset_seconds": None, "countdown": {"every_seconds": 3600}}, "countdown.from_seconds"),
        ({"offset_seconds": None, "at": 1}, "at"),
        ([], "body"),
    ],
)
async def test_wrong_preferences_are_refused(scene: ApiClient, wrong: Any, field: str) -> None:
    event = await subscribed(scene)
    assert fields_of(await scene.ask("member", "PUT", reminders(event), json=wrong)) == [field]
    assert (await scene.ask("member", "GET", reminders(event))).json() == NOTHING


async def test_who_has_no_subscription_has_no_reminders(scene: ApiClient) -> None:
    event = await scene.make_event()
    asked = (
        ("GET", reminders(event), None),
        ("PUT", reminders(event), {"offset_seconds": []}),
        ("GET", remind_me(event), None),
        ("POST", remind_me(event), {"in_seconds": 60}),
        ("DELETE", remind_me(event, 1), None),
    )
    for method, path, body in asked:
        answer = await scene.ask("outsider", method, path, json=body)
        assert code_of(answer) == (404, "not_subscribed")
        assert (await scene.ask(None, method, path, json=body)).status_code == 401
    await scene.change(event["id"], is_public=False)
    for method, path, body in asked:
        answer = await scene.ask("outsider", method, path, json=body)
        assert code_of(answer) == (404, "not_found")


async def test_nothing_changes_on_what_is_over_or_cancelled(scene: ApiClient) -> None:
    for change, code in (
        ({"start_date": instant(-1)}, "event_over"),
        ({"cancelled_at": instant(0)}, "event_cancelled"),
    ):
        event = await subscribed(scene)
        await scene.change(event["id"], **change)
        for method, path, body in (
            ("PUT", reminders(event), {"offset_seconds": []}),
            ("POST", remind_me(event), {"in_seconds": 60}),
        ):
            assert code_of(await scene.ask("member", method, path, json=body)) == (409, code)
        assert (await scene.ask("member", "GET", reminders(event))).status_code == 200
        assert (await scene.ask("member", "GET", remind_me(event))).status_code == 200


async def test_puts_at_once_end_in_one_of_them(scene: ApiClient) -> None:
    event = await subscribed(scene)
    answers = await asyncio.gather(
        *(
            scene.ask("member", "PUT", reminders(event), json={"offset_seconds": [600 + n, 900]})
            for n in range(6)
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    [subscription] = await scene.rows(Subscription)
    rows = await scene.rows(
        Reminder, Reminder.subscription_id.is_not(None), Reminder.removed_at.is_(None)
    )
    assert {row.offset_seconds for row in rows} == set(subscription.reminder_offsets)


async def test_remind_me_in_seconds_or_at_an_instant(scene: ApiClient) -> None:
    event = await subscribed(scene)
    at = as_z(instant(5))
    answers = [
        await scene.ask("member", "POST", remind_me(event), json=body)
        for body in ({"at": at}, {"in_seconds": 60})
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    first, second = (answer.json() for answer in answers)
    assert set(first) == {"id", "at"}
    assert first["at"] == at
    soon = datetime.fromisoformat(second["at"]) - utc_now()
    assert timedelta(seconds=50) < soon <= timedelta(seconds=60)
    for made in (first, second):
        assert await scene.stream(f"remind-me-{made['id']}") == [{}]
    listed = (await scene.ask("member", "GET", remind_me(event))).json()
    assert listed == {"items": [second, first], "next_cursor": None}
    page = (await scene.ask("member", "GET", remind_me(event), params={"limit": 1})).json()
    cursor = {"cursor": page["next_cursor"]}
    rest = (await scene.ask("member", "GET", remind_me(event), params=cursor)).json()
    assert page["items"] + rest["items"] == [second, first]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "body"),
        ({"in_seconds": 60, "at": "2099-01-01T00:00:00Z"}, "body"),
        ({"in_seconds": 59}, "in_seconds"),
        ({"in_seconds": YEAR + 1}, "in_seconds"),
        ({"in_seconds": "60"}, "in_seconds"),
        ({"at": "2099-01-01T00:00:00"}, "at"),
        ({"at": "2099-01-01T00:00:00Z"}, "at"),
        ({"at": "2020-01-01T00:00:00Z"}, "at"),
        ({"at": 1_900_000_000}, "at"),
    ],
)
async def test_wrong_remind_mes_are_refused(scene: ApiClient, wrong: Any, field: str) -> None:
    event = await subscribed(scene)
    assert fields_of(await scene.ask("member", "POST", remind_me(event), json=wrong)) == [field]
    assert await scene.rows(RemindMe) == []


async def test_a_remind_me_is_cancelled_by_its_owner_only(scene: ApiClient) -> None:
    event, other = await subscribed(scene), await subscribed(scene)
    await scene.subscribe_as("outsider", event["id"])
    made = (await scene.ask("member", "POST", remind_me(event), json={"in_seconds": 600})).json()
    for who, path in (
        ("outsider", remind_me(event, made["id"])),
        ("member", remind_me(other, made["id"])),
        ("member", remind_me(event, 999_999)),
    ):
        assert code_of(await scene.ask(who, "DELETE", path)) == (404, "not_found")
    mine = remind_me(event, made["id"])
    assert (await scene.ask("member", "DELETE", mine)).status_code == 204
    assert await scene.stream(f"remind-me-{made['id']}") == [{}, {}]
    assert code_of(await scene.ask("member", "DELETE", mine)) == (404, "not_found")
    assert (await scene.ask("member", "GET", remind_me(event))).json()["items"] == []


async def test_there_is_an_end_to_remind_mes(scene: ApiClient) -> None:
    event = await subscribed(scene)
    [subscription] = await scene.rows(Subscription)
    async with scene.db.write() as session:
        session.add_all(
            RemindMe(subscription_id=subscription.id, at=instant(1)) for _ in range(100)
        )
    answer = await scene.ask("member", "POST", remind_me(event), json={"in_seconds": 600})
    assert code_of(answer) == (409, "too_many_reminders")
