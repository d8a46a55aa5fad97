"""POST /api/events/{id}/notify: who may, who is meant, and that it is accepted once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from soonish.infra.db.models.events import EventUpdate
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.types import utc_now
from tests.support.api import ApiClient, code_of, fields_of, instant

NEWS = {"title": "Bring a coat", "body": "It is **cold**."}


async def notify(
    scene: ApiClient,
    event_id: int,
    who: str | None = "owner",
    key: str | None = None,
    **fields: Any,
) -> httpx2.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    path = f"/api/events/{event_id}/notify"
    return await scene.ask(who, "POST", path, json={**NEWS, **fields}, headers=headers)


async def test_a_message_to_all_is_accepted_logged_and_told_to_temporal(scene: ApiClient) -> None:
    event = await scene.make_event()
    await scene.subscribe(event["id"], "member")
    await scene.subscribe(event["id"], "outsider", status="pending_approval")
    await scene.subscribe(event["id"], "outsider", ended_at=utc_now())
    answer = await notify(scene, event["id"])
    assert answer.status_code == 202
    (row,) = await scene.rows(Notification)
    assert answer.json() == {"notification_id": row.id, "audience": 1}
    assert (row.kind, row.title, row.body, row.audience) == ("manual", *NEWS.values(), None)
    assert (row.event_id, row.requested_by) == (event["id"], scene.users["owner"].id)
    told = ("send_manual_notification", {"notification_id": row.id})
    assert (await scene.outbox_of(event))[1:] == [told]
    (entry,) = (await scene.ask(None, "GET", f"/api/events/{event['id']}/updates")).json()["items"]
    assert (entry["category"], entry["title"], entry["body"]) == ("announcement", *NEWS.values())


async def test_a_message_to_some_is_not_public(scene: ApiClient) -> None:
    event = await scene.make_event()
    chosen = await scene.subscribe(event["id"], "member")
    left = await scene.subscribe(event["id"], "outsider", ended_at=utc_now())
    await scene.subscribe(event["id"], "owner")
    answer = await notify(scene, event["id"], subscription_ids=[chosen, left, chosen])
    assert (answer.status_code, answer.json()["audience"]) == (202, 1)
    (row,) = await scene.rows(Notification)
    assert row.audience == [chosen, left]
    assert await scene.rows(EventUpdate) == []


@pytest.mark.parametrize("fields", [{}, {"subscription_ids": []}])
async def test_nobody_is_fine_too(scene: ApiClient, fields: dict[str, Any]) -> None:
    event = await scene.make_event()
    await scene.subscribe((await scene.make_event())["id"], "member")
    answer = await notify(scene, event["id"], **fields)
    assert (answer.status_code, answer.json()["audience"]) == (202, 0)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "two\nlines"}, "title"),
        ({"title": None}, "title"),
        ({"body": " "}, "body"),
        ({"body": "x" * 20_001}, "body"),
        ({"body": "nul\0"}, "body"),
        ({"subscription_ids": 1}, "subscription_ids"),
        ({"subscription_ids": ["1"]}, "subscription_ids.0"),
        ({"subscription_ids": [True]}, "subscription_ids.0"),
        ({"subscription_ids": [0]}, "subscription_ids.0"),
        ({"subscription_ids": [2**63]}, "subscription_ids.0"),
        ({"subscription_ids": [4711]}, "subscription_ids"),
        ({"audience": "all"}, "audience"),
    ],
)
async def test_what_is_refused_names_its_field(
    scene: ApiClient, fields: dict[str, Any], named: str
) -> None:
    event = await scene.make_event()
    assert fields_of(await notify(scene, event["id"], **fields)) == [named]
    assert await scene.rows(Notification) == []


async def test_subscriptions_of_another_event_are_refused(scene: ApiClient) -> None:
    event, other = await scene.make_event(), await scene.make_event()
    own, foreign = await scene.subscribe(event["id"]), await scene.subscribe(other["id"])
    answer = await notify(scene, event["id"], subscription_ids=[own, foreign])
    assert fields_of(answer) == ["subscription_ids"]
    assert len(await scene.outbox_of(event)) == 1


async def test_the_same_key_and_message_is_accepted_once(scene: ApiClient) -> None:
    event = await scene.make_event()
    await scene.subscribe(event["id"], "member")
    first = await notify(scene, event["id"], key="k1")
    await scene.subscribe(event["id"], "outsider")
    again = await notify(scene, event["id"], key="k1", title=f" {NEWS['title']} ")
    assert (again.status_code, again.json()) == (202, first.json())
    assert len(await scene.outbox_of(event)) == 2
    assert len(await scene.rows(EventUpdate)) == 1
    await scene.ask("owner", "DELETE", f"/api/events/{event['id']}")
    after = await notify(scene, event["id"], key="k1")
    assert (after.status_code, after.json()) == (202, first.json())


@pytest.mark.parametrize("fields", [{"title": "x"}, {"body": "x"}, {"subscription_ids": []}])
async def test_another_message_with_the_same_key_is_409(
    scene: ApiClient, fields: dict[str, Any]
) -> None:
    event = await scene.make_event()
    await notify(scene, event["id"], key="k1")
    answer = await notify(scene, event["id"], key="k1", **fields)
    assert code_of(answer) == (409, "idempotency_key_reused")
    assert len(await scene.rows(Notification)) == 1


async def test_the_order_and_number_of_ids_make_no_other_message(scene: ApiClient) -> None:
    event = await scene.make_event()
    a, b = await scene.subscribe(event["id"]), await scene.subscribe(event["id"], "outsider")
    first = await notify(scene, event["id"], key="k", subscription_ids=[a, b])
    again = await notify(scene, event["id"], key="k", subscription_ids=[b, a, b])
    assert first.json() == again.json() == {"notification_id": 1, "audience": 2}


async def test_a_key_belongs_to_one_user_and_event(scene: ApiClient) -> None:
    events = [await scene.make_event() for _ in range(2)]
    ids = {(await notify(scene, e["id"], key="k")).json()["notification_id"] for e in events}
    for event in events:
        await scene.change(event["id"], owner_user_id=scene.users["member"].id)
        answer = await notify(scene, event["id"], "member", key="k")
        ids.add(answer.json()["notification_id"])
    assert len(ids) == 4
    without = [await notify(scene, events[0]["id"], "member") for _ in range(2)]
    assert without[0].json() != without[1].json()


async def test_the_same_key_at_the_same_time_is_accepted_once(scene: ApiClient) -> None:
    event = await scene.make_event()
    await scene.subscribe(event["id"])
    answers = await asyncio.gather(*(notify(scene, event["id"], key="k") for _ in range(12)))
    assert {(a.status_code, a.text) for a in answers} == {(202, answers[0].text)}
    assert len(await scene.rows(Notification)) == 1
    assert len(await scene.outbox_of(event)) == 2


async def test_different_messages_with_one_key_at_the_same_time(scene: ApiClient) -> None:
    event = await scene.make_event()
    bodies = [str(n) for n in range(8)]
    answers = await asyncio.gather(
        *(notify(scene, event["id"], key="k", body=body) for body in bodies)
    )
    assert sorted(a.status_code for a in answers) == [202, *[409] * 7]
    assert len(await scene.rows(Notification)) == 1


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "tab\tbed", "caf\xe9\x85"])
async def test_a_key_that_is_none_is_422(scene: ApiClient, key: str) -> None:
    event = await scene.make_event()
    headers = [("Authorization", f"Bearer {scene.tokens['owner']}")]
    answer = await scene.client.post(
        f"/api/events/{event['id']}/notify",
        json=NEWS,
        headers=[*headers, (b"Idempotency-Key", key.encode("latin-1"))],
    )
    assert fields_of(answer) == ["Idempotency-Key"]
    assert await scene.rows(Notification) == []


async def test_a_cancelled_event_is_409(scene: ApiClient) -> None:
    event = await scene.make_event()
    await scene.ask("owner", "DELETE", f"/api/events/{event['id']}")
    assert code_of(await notify(scene, event["id"])) == (409, "event_cancelled")


async def test_an_ended_event_takes_messages_until_its_grace_ends(scene: ApiClient) -> None:
    event = await scene.make_event()
    await scene.change(event["id"], start_date=instant(-24 * 7 + 1))
    assert (await notify(scene, event["id"])).status_code == 202
    await scene.change(event["id"], start_date=instant(-24 * 7 - 1))
    assert code_of(await notify(scene, event["id"])) == (409, "event_over")
    scene.runtime.settings.event_grace_days = 0
    await scene.change(event["id"], start_date=instant(-0.1))
    assert code_of(await notify(scene, event["id"])) == (409, "event_over")


async def test_only_the_owner_may(scene: ApiClient) -> None:
    public, private = await scene.make_event(), await scene.make_event(is_public=False)
    people = ("member", "outsider", None)
    statuses = [
        [(await notify(scene, event["id"], who)).status_code for who in people]
        for event in (public, private)
    ]
    assert statuses == [[403, 403, 401], [404, 404, 401]]
    assert (await notify(scene, 4711)).status_code == 404
    assert await scene.rows(Notification) == []
