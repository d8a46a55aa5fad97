"""Subscribing, choosing channels and leaving, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from soonish.identity.addresses import fingerprint_of
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.subscriptions import Subscription
from tests.support.api import ApiClient, code_of, fields_of, instant

ADDED, REMOVED = "participant_added", "participant_removed"


def path(event: dict[str, Any]) -> str:
    return f"/api/events/{event['id']}/subscribe"


async def active(scene: ApiClient) -> list[Subscription]:
    return list(await scene.rows(Subscription, Subscription.ended_at.is_(None)))


async def test_an_address_alone_subscribes_once(scene: ApiClient) -> None:
    event = await scene.make_event()
    answers = [
        await scene.ask(None, "POST", path(event), json={"email": email, "name": "Anna"})
        for email in ("anna@example.org", " Anna@Example.ORG")
    ]
    assert [(a.status_code, a.json()) for a in answers] == [(201, {"status": "accepted"})] * 2
    [user] = await scene.rows(User, User.email_fingerprint == fingerprint_of("anna@example.org"))
    assert (user.email, user.name, user.is_verified) == ("anna@example.org", "Anna", False)
    [subscription] = await active(scene)
    assert subscription.user_id == user.id
    assert (await scene.outbox_of(event))[1:] == [(ADDED, {"subscription_id": subscription.id})]


async def test_a_burst_of_the_same_address_subscribes_once(scene: ApiClient) -> None:
    event = await scene.make_event()
    answers = await asyncio.gather(
        *(
            scene.ask(None, "POST", path(event), json={"email": "anna@example.org"})
            for _ in range(10)
        )
    )
    assert {a.status_code for a in answers} == {201}
    assert len(await active(scene)) == 1
    assert await scene.kinds(event) == [ADDED]


async def test_a_burst_of_the_same_user_answers_201_once(scene: ApiClient) -> None:
    event, channel = await scene.make_event(), await scene.add_channel("member")
    body = {"integration_ids": [channel["id"]], "tags": ["chat"]}
    answers = await asyncio.gather(
        *(scene.ask("member", "POST", path(event), json=body) for _ in range(8))
    )
    assert sorted(a.status_code for a in answers) == [200] * 7 + [201]
    assert len({str(a.json()) for a in answers}) == 1
    assert len(answers[0].json()["selectors"]) == 2
    assert await scene.kinds(event) == [ADDED]


async def test_subscribing_and_leaving_at_once_never_fails(scene: ApiClient) -> None:
    event = await scene.make_event()
    await scene.subscribe_as("member", event["id"])
    answers = await asyncio.gather(
        *(
            scene.ask("member", method, path(event), **arguments)
            for _ in range(6)
            for method, arguments in (("POST", {"json": {}}), ("DELETE", {}))
        )
    )
    assert {a.status_code for a in answers} <= {200, 201, 204}
    kinds = await scene.kinds(event)
    assert kinds.count(ADDED) - kinds.count(REMOVED) == len(await active(scene)) in (0, 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": ""}, "email"),
        ({"email": None}, "email"),
        ({"email": 5}, "email"),
        ({"email": "a@example.org\r\nBcc: b@example.org"}, "email"),
        ({"email": "a@example.org", "tags": ["chat"]}, "body"),
        ({"email": "a@example.org", "integration_ids": []}, "body"),
        ({"email": "a@example.org", "name": "a\nb"}, "name"),
        ({"name": "Anna"}, "body"),
        ({"tags": ["nobody-has-this"]}, "tags"),
        ({"tags": [""]}, "tags.0"),
        ({"integration_ids": [999_999]}, "integration_ids"),
        ({"integration_ids": ["1"]}, "integration_ids.0"),
        ({"integration_ids": [2**63]}, "integration_ids.0"),
        ({"user_id": 1}, "user_id"),
        ([], "body"),
    ],
)
async def test_wrong_bodies_are_refused(scene: ApiClient, body: Any, field: str) -> None:
    event = await scene.make_event()
    assert fields_of(await scene.ask("member", "POST", path(event), json=body)) == [field]
    assert await active(scene) == []


async def test_no_body_at_all_is_refused(scene: ApiClient) -> None:
    event = await scene.make_event()
    assert fields_of(await scene.ask("member", "POST", path(event))) == ["body"]


async def test_without_an_address_one_must_be_signed_in(scene: ApiClient) -> None:
    event = await scene.make_event()
    for body in ({}, {"tags": ["chat"]}):
        answer = await scene.ask(None, "POST", path(event), json=body)
        assert code_of(answer) == (401, "unauthorized")


async def test_an_address_in_the_body_decides_whoever_asks(scene: ApiClient) -> None:
    event = await scene.make_event()
    answer = await scene.ask("member", "POST", path(event), json={"email": "anna@example.org"})
    assert (answer.status_code, answer.json()) == (201, {"status": "accepted"})
    [subscription] = await active(scene)
    assert subscription.user_id != scene.users["member"].id


async def test_an_account_is_subscribed_by_its_address_without_a_word(scene: ApiClient) -> None:
    event = await scene.make_event()
    fields = {"email": "member@example.com", "name": "Mallory"}
    assert (await scene.ask(None, "POST", path(event), json=fields)).status_code == 201
    [subscription] = await active(scene)
    assert subscription.user_id == scene.users["member"].id
    [user] = await scene.rows(User, User.id == subscription.user_id)
    assert user.name is None


async def test_a_private_event_is_not_there_for_strangers(scene: ApiClient) -> None:
    event = await scene.make_event(is_public=False)
    body = {"email": "anna@example.org", "invitation": "guessed"}
    for who, fields in (("outsider", {}), (None, body), ("outsider", body)):
        answer = await scene.ask(who, "POST", path(event), json=fields)
        assert code_of(answer) == (404, "not_found")
    assert (await scene.ask("outsider", "GET", path(event))).status_code == 404
    assert (await scene.ask("outsider", "DELETE", path(event))).json()["code"] == "not_found"
    assert (await scene.ask("owner", "POST", path(event), json={})).status_code == 201


@pytest.mark.parametrize("event_id", ["999999", "0", "-1", "abc", str(2**63)])
async def test_an_event_that_is_not_there(scene: ApiClient, event_id: str) -> None:
    address = f"/api/events/{event_id}/subscribe"
    for who, method, body in (
        (None, "POST", {"email": "anna@example.org"}),
        ("member", "POST", {}),
        ("member", "PATCH", {}),
        ("member", "GET", None),
        ("member", "DELETE", None),
    ):
        assert code_of(await scene.ask(who, method, address, json=body)) == (404, "not_found")


async def test_nobody_joins_what_is_over_or_cancelled_but_all_may_leave(scene: ApiClient) -> None:
    for change, code in (
        ({"start_date": instant(-1)}, "event_over"),
        ({"cancelled_at": instant(0)}, "event_cancelled"),
    ):
        event = await scene.make_event()
        await scene.subscribe_as("member", event["id"])
        await scene.change(event["id"], **change)
        for who, method, body in (
            (None, "POST", {"email": "anna@example.org"}),
            ("outsider", "POST", {}),
            ("member", "POST", {}),
            ("member", "PATCH", {"mode": "replace"}),
        ):
            assert code_of(await scene.ask(who, method, path(event), json=body)) == (409, code)
        assert (await scene.ask("member", "GET", path(event))).status_code == 200
        assert (await scene.ask("member", "DELETE", path(event))).status_code == 204


async def test_an_event_with_an_end_takes_subscribers_until_then(scene: ApiClient) -> None:
    event = await scene.make_event(end_date=instant(50).isoformat())
    await scene.change(event["id"], start_date=instant(-1))
    assert (await scene.subscribe_as("member", event["id"]))["status"] == "active"


async def test_a_user_subscribes_with_nothing_by_mail_and_adds_channels(scene: ApiClient) -> None:
    event, channel = await scene.make_event(), await scene.add_channel("member", tag="Work")
    first = await scene.ask("member", "POST", path(event), json={})
    assert (first.status_code, first.json()["selectors"]) == (201, [])
    assert set(first.json()) == {"subscription_id", "status", "selectors", "warnings"}
    again = await scene.ask("member", "POST", path(event), json={})
    assert (again.status_code, again.json()) == (200, first.json())
    body = {"integration_ids": [channel["id"]], "tags": ["WORK", "work"]}
    added = await scene.ask("member", "POST", path(event), json=body)
    assert added.status_code == 200
    chosen = [(s["integration_id"], s["tag"]) for s in added.json()["selectors"]]
    assert chosen == [(channel["id"], None), (None, "work")]
    assert (await scene.ask("member", "GET", path(event))).json() == added.json()
    assert await scene.kinds(event) == [ADDED]


async def test_channels_of_others_are_refused(scene: ApiClient) -> None:
    event = await scene.make_event()
    theirs, mine = await scene.add_channel("owner"), await scene.add_channel("member", tag="work")
    for body, field in (
        ({"integration_ids": [mine["id"], theirs["id"]]}, "integration_ids"),
        ({"tags": ["work", "chat"]}, "tags"),
    ):
        assert fields_of(await scene.ask("member", "POST", path(event), json=body)) == [field]
    await scene.ask("member", "DELETE", f"/api/integrations/{mine['id']}")
    body = {"integration_ids": [mine["id"]], "tags": ["work"]}
    answer = await scene.ask("member", "POST", path(event), json=body)
    assert fields_of(answer) == ["integration_ids", "tags"]


async def test_an_inactive_channel_is_kept_with_a_warning(scene: ApiClient) -> None:
    event = await scene.make_event()
    off, on = await scene.add_channel("member"), await scene.add_channel("member", tag="work")
    await scene.ask("member", "PATCH", f"/api/integrations/{off['id']}", json={"is_active": False})
    made = await scene.subscribe_as("member", event["id"], integration_ids=[off["id"]])
    assert len(made["selectors"]) == 1
    assert any("switched off" in text for text in made["warnings"])
    assert any("None of the chosen channels" in text for text in made["warnings"])
    both = await scene.subscribe_as("member", event["id"], tags=["work"])
    assert [text for text in both["warnings"] if "None of" in text] == []
    await scene.ask("member", "DELETE", f"/api/integrations/{on['id']}")
    warnings = (await scene.ask("member", "GET", path(event))).json()["warnings"]
    assert any("no longer exists" in text for text in warnings)


async def test_patch_adds_removes_and_replaces(scene: ApiClient) -> None:
    event = await scene.make_event()
    a = await scene.add_channel("member", tag="a")
    b = await scene.add_channel("member", tag="b")
    await scene.subscribe_as("member", event["id"], integration_ids=[a["id"]])

    async def patch(**body: Any) -> set[Any]:
        answer = await scene.ask("member", "PATCH", path(event), json=body)
        assert answer.status_code == 200, answer.text
        return {s["integration_id"] or s["tag"] for s in answer.json()["selectors"]}

    assert await patch() == {a["id"]}
    assert await patch(tags=["B"]) == {a["id"], "b"}
    assert await patch(mode="add", integration_ids=[a["id"], b["id"]]) == {a["id"], b["id"], "b"}
    assert await patch(mode="remove", integration_ids=[a["id"]], tags=["a"]) == {b["id"], "b"}
    assert await patch(mode="replace", tags=["a", "b"]) == {"a", "b"}
    assert await patch(mode="replace") == set()


async def test_patch_warns_when_no_channel_remains(scene: ApiClient) -> None:
    event, channel = await scene.make_event(), await scene.add_channel("member")
    await scene.subscribe_as("member", event["id"], tags=["chat"])
    await scene.ask("member", "DELETE", f"/api/integrations/{channel['id']}")
    answer = await scene.ask("member", "PATCH", path(event), json={})
    assert answer.json()["warnings"]
    body = {"mode": "remove", "tags": ["chat"]}  # nobody has the tag any more, yet it can go
    answer = await scene.ask("member", "PATCH", path(event), json=body)
    assert answer.json()["selectors"] == []
    assert ["email" in text for text in answer.json()["warnings"]] == [True]


async def test_patch_refuses_what_post_refuses(scene: ApiClient) -> None:
    event, theirs = await scene.make_event(), await scene.add_channel("owner")
    answer = await scene.ask("member", "PATCH", path(event), json={})
    assert code_of(answer) == (404, "not_subscribed")
    await scene.subscribe_as("member", event["id"])
    for body, field in (
        ({"mode": "toggle"}, "mode"),
        ({"integration_ids": [theirs["id"]]}, "integration_ids"),
        ({"mode": "remove", "tags": ["chat"]}, "tags"),
        ({"email": "a@example.org"}, "email"),
    ):
        assert fields_of(await scene.ask("member", "PATCH", path(event), json=body)) == [field]
    assert (await scene.ask(None, "PATCH", path(event), json={})).status_code == 401


async def test_leaving_twice_answers_the_same_and_tells_once(scene: ApiClient) -> None:
    event = await scene.make_event()
    assert code_of(await scene.ask("member", "DELETE", path(event))) == (404, "not_subscribed")
    made = await scene.subscribe_as("member", event["id"])
    for _ in range(2):
        assert (await scene.ask("member", "DELETE", path(event))).status_code == 204
    assert code_of(await scene.ask("member", "GET", path(event))) == (404, "not_subscribed")
    expected = {"subscription_id": made["subscription_id"]}
    assert (await scene.outbox_of(event))[1:] == [(ADDED, expected), (REMOVED, expected)]
    [row] = await scene.rows(Subscription)
    assert row.end_reason == "unsubscribed"


async def test_coming_back_is_a_new_subscription(scene: ApiClient) -> None:
    event, _ = await scene.make_event(), await scene.add_channel("member")
    first = await scene.subscribe_as("member", event["id"], tags=["chat"])
    await scene.ask("member", "DELETE", path(event))
    again = await scene.subscribe_as("member", event["id"])
    assert again["subscription_id"] != first["subscription_id"]
    assert again["selectors"] == []
    assert await scene.kinds(event) == [ADDED, REMOVED, ADDED]


async def test_own_subscriptions_are_listed_with_their_events(scene: ApiClient) -> None:
    events = [await scene.make_event(name=f"Event {n}") for n in range(3)]
    await scene.add_channel("member")
    for event in events:
        await scene.subscribe_as("member", event["id"], tags=["chat"])
    await scene.subscribe_as("outsider", events[0]["id"])
    await scene.ask("member", "DELETE", path(events[1]))
    address = "/api/users/me/subscriptions"
    first = (await scene.ask("member", "GET", address, params={"limit": 1})).json()
    rest = (
        await scene.ask("member", "GET", address, params={"cursor": first["next_cursor"]})
    ).json()
    items = first["items"] + rest["items"]
    assert [item["event"]["name"] for item in items] == ["Event 2", "Event 0"]
    assert [item["event"]["subscriber_count"] for item in items] == [1, 2]
    assert [s["tag"] for s in items[0]["selectors"]] == ["chat"]
    assert rest["next_cursor"] is None
    assert (await scene.ask(None, "GET", address)).status_code == 401


async def test_an_anonymous_subscription_costs_five_statements(scene: ApiClient) -> None:
    event = await scene.make_event()
    statements: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement.split()[0])

    engine = scene.db.engine.sync_engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    answer = await scene.ask(None, "POST", path(event), json={"email": "anna@example.org"})
    sqlalchemy_event.remove(engine, "before_cursor_execute", note)
    assert answer.status_code == 201
    assert [s for s in statements if s != "BEGIN"] == [
        "SELECT",  # the event, FOR SHARE
        "INSERT",  # the user, or the name and a lock of the one there is
        "INSERT",  # the subscription
        "INSERT",  # the outbox row
        "INSERT",  # the audit log's entry
    ]
