"""Unsubscribe and manage tokens: what they do, for whom, how long."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from soonish.errors import Gone
from soonish.identity.signed_tokens import LinkClaims, make_token, read_token
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.support.api import ApiClient, code_of, fields_of

KEY = "k" * 40
ISSUED = datetime(2026, 5, 1, 12, 30, 15, 999, tzinfo=UTC)


def token(purpose: str = "unsubscribe", **changes: int) -> str:
    claims = {"event_id": 1, "user_id": 2, "epoch": 3} | changes
    return make_token(KEY, purpose, issued_at=ISSUED, **claims)  # type: ignore[arg-type]


def test_a_token_is_read_for_60_days_and_is_always_the_same() -> None:
    made = token()
    assert made == token()
    whole = ISSUED.replace(microsecond=0)
    claims = read_token(KEY, "unsubscribe", made, whole + timedelta(days=60, seconds=-1))
    assert claims == LinkClaims(1, 2, 3, whole)
    with pytest.raises(Gone):
        read_token(KEY, "unsubscribe", made, whole + timedelta(days=60))


@pytest.mark.parametrize("wrong", ["", ".", "a.b", "é", "\udcff", "x" * 5000])
def test_anything_else_is_gone(wrong: str) -> None:
    with pytest.raises(Gone):
        read_token(KEY, "unsubscribe", wrong, ISSUED)


def test_a_token_serves_one_purpose_and_one_key() -> None:
    with pytest.raises(Gone):
        read_token(KEY, "manage", token("unsubscribe"), ISSUED)
    with pytest.raises(Gone):
        read_token("o" * 40, "unsubscribe", token(), ISSUED)
    assert len({token(), token(event_id=2), token(user_id=1), token(epoch=4)}) == 4


def test_every_changed_character_is_noticed() -> None:
    made = token()
    for index in range(len(made) - 1):  # the last one carries bits that mean nothing
        other = "A" if made[index] != "A" else "B"
        with pytest.raises(Gone):
            read_token(KEY, "unsubscribe", made[:index] + other + made[index + 1 :], ISSUED)


@pytest.mark.parametrize("form", ["json", "one-click"])
async def test_unsubscribing_is_idempotent_and_tells_once(scene: ApiClient, form: str) -> None:
    event = await scene.make_event()
    await scene.subscribe_as("member", event["id"])
    made = scene.token("unsubscribe", event["id"], scene.users["member"])
    for _ in range(3):
        if form == "json":
            answer = await scene.ask(None, "POST", "/api/unsubscribe", json={"token": made})
            assert answer.json() == {"status": "unsubscribed"}
        else:
            body = {"List-Unsubscribe": "One-Click"}
            answer = await scene.ask(None, "POST", f"/u/{made}", data=body)
            assert answer.headers["content-type"].startswith("text/plain")
            assert "set-cookie" not in answer.headers
        assert answer.status_code == 200
    assert await scene.kinds(event) == ["participant_added", "participant_removed"]


async def test_many_posts_at_once_tell_once(scene: ApiClient) -> None:
    event = await scene.make_event()
    await scene.subscribe_as("member", event["id"])
    made = scene.token("unsubscribe", event["id"], scene.users["member"])
    answers = await asyncio.gather(*(scene.ask(None, "POST", f"/u/{made}") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert await scene.kinds(event) == ["participant_added", "participant_removed"]


async def test_a_token_ends_whatever_subscription_is_active(scene: ApiClient) -> None:
    event, other = await scene.make_event(), await scene.make_event()
    made = scene.token("unsubscribe", event["id"], scene.users["member"])
    for who, event_id in (("member", event["id"]), ("member", other["id"])):
        await scene.subscribe_as(who, event_id)
    await scene.subscribe_as("outsider", event["id"])
    await scene.change(event["id"], cancelled_at=utc_now())
    assert (await scene.ask(None, "POST", f"/u/{made}")).status_code == 200
    left = await scene.rows(Subscription, Subscription.ended_at.is_(None))
    assert {(s.event_id, s.user_id) for s in left} == {
        (other["id"], scene.users["member"].id),
        (event["id"], scene.users["outsider"].id),
    }


async def test_tokens_that_do_not_count_are_gone(scene: ApiClient) -> None:
    event, member = await scene.make_event(), scene.users["member"]
    await scene.subscribe_as("member", event["id"])
    old = utc_now() - timedelta(days=60)
    for wrong in (
        "nonsense",
        scene.token("manage", event["id"], member),
        scene.token("unsubscribe", event["id"], member, epoch=1),
        scene.token("unsubscribe", event["id"], member, issued_at=old),
        scene.token("unsubscribe", 999_999, member),
    ):
        for answer in (
            await scene.ask(None, "POST", f"/u/{wrong}"),
            await scene.ask(None, "POST", "/api/unsubscribe", json={"token": wrong}),
        ):
            assert code_of(answer) == (410, "token_invalid")
    assert len(await scene.rows(Subscription, Subscription.ended_at.is_(None))) == 1


async def test_the_json_form_names_what_is_missing(scene: ApiClient) -> None:
    for body in ({}, {"token": ""}, {"token": None}):
        assert fields_of(await scene.ask(None, "POST", "/api/unsubscribe", json=body)) == ["token"]


async def test_a_manage_token_acts_on_its_subscription(scene: ApiClient) -> None:
    event = await scene.make_event()
    email = {"email": "anna@example.org"}
    address = f"/api/events/{event['id']}"
    await scene.ask(None, "POST", f"{address}/subscribe", json=email)
    [row] = await scene.rows(Subscription)
    user = await scene.person(row.user_id)
    headers = {"X-Manage-Token": scene.token("manage", event["id"], user)}
    own = await scene.ask(None, "GET", f"{address}/subscribe", headers=headers)
    assert own.json()["subscription_id"] == row.id
    put = await scene.ask(
        None, "PUT", f"{address}/reminders", headers=headers, json={"offset_seconds": [600]}
    )
    assert put.json()["offset_seconds"] == [600]
    made = await scene.ask(
        None, "POST", f"{address}/remind-me", headers=headers, json={"in_seconds": 60}
    )
    assert made.status_code == 202
    rid = made.json()["id"]
    gone = await scene.ask(None, "DELETE", f"{address}/remind-me/{rid}", headers=headers)
    assert gone.status_code == 204
    left = await scene.ask(None, "DELETE", f"{address}/subscribe", headers=headers)
    assert left.status_code == 204
    again = await scene.ask(None, "GET", f"{address}/subscribe", headers=headers)
    assert code_of(again) == (404, "not_subscribed")


async def test_a_manage_token_does_nothing_else(scene: ApiClient) -> None:
    event, other = await scene.make_event(), await scene.make_event()
    for one in (event, other):
        await scene.subscribe_as("member", one["id"])
    headers = {"X-Manage-Token": scene.token("manage", event["id"], scene.users["member"])}
    elsewhere = await scene.ask(
        None, "GET", f"/api/events/{other['id']}/subscribe", headers=headers
    )
    assert elsewhere.status_code == 404
    for method, path in (
        ("PATCH", f"/api/events/{event['id']}/subscribe"),
        ("GET", "/api/users/me/subscriptions"),
        ("GET", "/api/integrations"),
        ("GET", f"/api/events/{event['id']}/subscriptions"),
    ):
        assert (await scene.ask(None, method, path, json={}, headers=headers)).status_code == 401


async def test_a_bad_manage_token_is_401_and_authorization_decides_alone(scene: ApiClient) -> None:
    event, member = await scene.make_event(), scene.users["member"]
    await scene.subscribe_as("member", event["id"])
    address = f"/api/events/{event['id']}/subscribe"
    good = scene.token("manage", event["id"], member)
    for wrong in ("", "x", scene.token("unsubscribe", event["id"], member), good[:-4]):
        headers = {"X-Manage-Token": wrong}
        answer = await scene.ask(None, "GET", address, headers=headers)
        assert code_of(answer) == (401, "unauthorized")
    headers = {"X-Manage-Token": good}
    assert (await scene.ask("outsider", "GET", address, headers=headers)).status_code == 404
    await scene.subscribe_as("outsider", event["id"])
    await scene.ask("outsider", "DELETE", address, headers=headers)
    [left] = await scene.rows(Subscription, Subscription.ended_at.is_(None))
    assert left.user_id == member.id
