"""ANONYMOUS_OPT_IN=double: one mail, one click, and nothing before."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from soonish.identity import tokens
from soonish.infra.db.models.accounts import Token, User
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.worker import housekeeping
from tests.support.api import ApiClient, code_of, fields_of, instant

ADDED, REMOVED, ANNA = "participant_added", "participant_removed", "anna@example.org"
WEEK = timedelta(days=7)


@pytest.fixture
def double(scene: ApiClient) -> ApiClient:
    scene.runtime.settings.anonymous_opt_in = "double"
    return scene


async def ask(scene: ApiClient, event: dict[str, Any], email: str = ANNA) -> None:
    path = f"/api/events/{event['id']}/subscribe"
    answer = await scene.ask(None, "POST", path, json={"email": email})
    assert (answer.status_code, answer.json()) == (201, {"status": "accepted"})


async def mails(scene: ApiClient) -> list[Notification]:
    return list(await scene.rows(Notification, Notification.kind == "confirm_subscription"))


async def only(scene: ApiClient) -> Subscription:
    [row] = await scene.rows(Subscription)
    return row


async def token_for(scene: ApiClient) -> str:
    """What the newest mail carries, made as it is made just before the send."""
    newest = max(await mails(scene), key=lambda mail: mail.id)
    [delivery] = await scene.rows(Delivery, Delivery.notification_id == newest.id)
    extra = (newest.content or {})["extra"]
    async with scene.db.write() as session:
        return await tokens.issue(
            session,
            extra["purpose"],
            delivery.user_id,
            subscription_id=extra["subscription_id"],
        )


async def confirm(scene: ApiClient, token: str) -> Any:
    return await scene.ask(None, "POST", "/api/confirm", json={"token": token})


async def asked_for(scene: ApiClient, ago: timedelta) -> None:
    async with scene.db.write() as session:
        await session.execute(update(Subscription).values(created_at=utc_now() - ago))


@pytest.mark.parametrize("address", [ANNA, "member@example.com"])
async def test_an_address_is_asked_and_nothing_else(double: ApiClient, address: str) -> None:
    """Also that of an account: anybody can type it."""
    event = await double.make_event()
    await ask(double, event, address)
    row = await only(double)
    assert (row.status, row.ended_at) == ("pending_confirmation", None)
    assert await double.kinds(event) == []
    [mail] = await mails(double)
    assert (mail.content or {})["extra"]["event"] == "Summer party"
    [delivery] = await double.rows(Delivery)
    assert (delivery.user_id, delivery.target_key) == (row.user_id, "mail")
    assert delivery.expires_at - delivery.created_at == WEEK
    shown = await double.ask("owner", "GET", f"/api/events/{event['id']}/subscriptions")
    assert shown.json()["items"] == []
    assert (await double.ask(None, "GET", f"/api/events/{event['id']}")).json()[
        "subscriber_count"
    ] == 0


async def test_a_click_makes_it_active_and_tells_temporal_once(double: ApiClient) -> None:
    event = await double.make_event()
    await ask(double, event)
    before = await only(double)
    await asked_for(double, timedelta(days=1))
    token = await token_for(double)
    for _ in range(2):
        answer = await confirm(double, token)
        assert (answer.status_code, answer.json()) == (200, {"status": "active"})
    row = await only(double)
    assert (row.id, row.status) == (before.id, "active")
    assert row.created_at >= before.created_at, "what was announced before is not for them"
    assert (await double.outbox_of(event))[1:] == [(ADDED, {"subscription_id": row.id})]
    assert all(one.used_at for one in await double.rows(Token))
    shown = await double.ask("owner", "GET", f"/api/events/{event['id']}/subscriptions")
    assert [one["address"] for one in shown.json()["items"]] == [ANNA]
    await ask(double, event)  # subscribed already: nothing happens
    assert len(await mails(double)) == 1
    assert await double.kinds(event) == [ADDED]


async def test_a_burst_asks_once_and_confirms_once(double: ApiClient) -> None:
    event = await double.make_event()
    await asyncio.gather(*(ask(double, event) for _ in range(8)))
    assert len(await mails(double)) == 1
    token = await token_for(double)
    answers = await asyncio.gather(*(confirm(double, token) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert await double.kinds(event) == [ADDED]


async def test_the_form_sent_again_mails_once_an_hour(double: ApiClient) -> None:
    event = await double.make_event()
    await ask(double, event)
    await asked_for(double, timedelta(minutes=59))
    await ask(double, event)
    assert len(await mails(double)) == 1
    await asked_for(double, timedelta(minutes=60))
    for _ in range(2):
        await ask(double, event)
    assert len(await mails(double)) == 2
    first = (await mails(double))[0]
    assert (first.content or {})["extra"]["subscription_id"] == (await only(double)).id
    for token in (await token_for(double), await token_for(double)):
        assert (await confirm(double, token)).status_code == 200  # the link of either mail
    assert await double.kinds(event) == [ADDED]


async def test_tokens_that_confirm_nothing_are_gone(double: ApiClient) -> None:
    event = await double.make_event()
    await ask(double, event)
    row = await only(double)
    async with double.db.write() as session:
        unbound = await tokens.issue(session, "confirm_subscription", row.user_id)
        other = await tokens.issue(session, "magic_link", row.user_id, subscription_id=row.id)
    expired = await token_for(double)
    async with double.db.write() as session:
        own = update(Token).where(Token.token_hash == tokens.hash_of(expired))
        await session.execute(own.values(expires_at=utc_now() - timedelta(seconds=1)))
    for token in ("nonsense", "é", unbound, other, expired):
        assert code_of(await confirm(double, token)) == (410, "token_invalid")
    assert (await only(double)).status == "pending_confirmation"
    assert fields_of(await double.ask(None, "POST", "/api/confirm", json={})) == ["token"]


async def test_a_token_is_of_one_subscription(double: ApiClient) -> None:
    event = await double.make_event()
    await ask(double, event)
    old = await token_for(double)
    await end_quietly(double, event)
    assert code_of(await confirm(double, old)) == (410, "token_invalid")
    await ask(double, event)
    assert code_of(await confirm(double, old)) == (410, "token_invalid")
    assert len(await mails(double)) == 2
    assert (await confirm(double, await token_for(double))).status_code == 200


async def end_quietly(scene: ApiClient, event: dict[str, Any]) -> None:
    """Unsubscribe by a link of an earlier subscription's mail."""
    row = next(one for one in await scene.rows(Subscription) if one.ended_at is None)
    token = scene.token("unsubscribe", event["id"], await scene.person(row.user_id))
    answer = await scene.ask(None, "POST", "/api/unsubscribe", json={"token": token})
    assert answer.status_code == 200


async def test_leaving_before_confirming_tells_nobody(double: ApiClient) -> None:
    event = await double.make_event()
    await ask(double, event)
    await end_quietly(double, event)
    row = await only(double)
    assert (row.end_reason, row.ended_at is None) == ("unsubscribed", False)
    assert await double.kinds(event) == []


async def test_a_confirmed_one_that_left_is_gone(double: ApiClient) -> None:
    event = await double.make_event()
    await ask(double, event)
    token = await token_for(double)
    await confirm(double, token)
    await end_quietly(double, event)
    assert code_of(await confirm(double, token)) == (410, "token_invalid")
    assert await double.kinds(event) == [ADDED, REMOVED]


async def test_what_is_over_cancelled_or_private_takes_nobody(double: ApiClient) -> None:
    for change, expected in (
        ({"start_date": instant(-1)}, (409, "event_over")),
        ({"cancelled_at": instant(0)}, (409, "event_cancelled")),
        ({"is_public": False}, (410, "token_invalid")),
    ):
        event = await double.make_event()
        await ask(double, event)
        token = await token_for(double)
        await double.change(event["id"], **change)
        assert code_of(await confirm(double, token)) == expected
        assert await double.kinds(event) == []


async def test_a_confirmed_one_stays_confirmed_whatever_the_event_does(double: ApiClient) -> None:
    event = await double.make_event()
    await ask(double, event)
    token = await token_for(double)
    await confirm(double, token)
    await double.change(event["id"], is_public=False, cancelled_at=utc_now())
    assert (await confirm(double, token)).status_code == 200


async def test_a_deactivated_person_confirms_nothing(double: ApiClient) -> None:
    event = await double.make_event()
    await ask(double, event)
    token = await token_for(double)
    async with double.db.write() as session:
        person = update(User).where(User.id == (await only(double)).user_id)
        await session.execute(person.values(deactivated_at=utc_now()))
    assert code_of(await confirm(double, token)) == (410, "token_invalid")


async def test_who_is_signed_in_is_never_asked(double: ApiClient) -> None:
    event = await double.make_event()
    path = f"/api/events/{event['id']}/subscribe"
    made = await double.ask("outsider", "POST", path, json={})
    assert (made.status_code, made.json()["status"]) == (201, "active")
    await ask(double, event, "member@example.com")  # by somebody, before
    assert code_of(await double.ask("member", "GET", path)) == (404, "not_subscribed")
    assert code_of(await double.ask("member", "PATCH", path, json={})) == (404, "not_subscribed")
    listed = await double.ask("member", "GET", "/api/users/me/subscriptions")
    assert listed.json()["items"] == []
    made = await double.ask("member", "POST", path, json={})
    assert (made.status_code, made.json()["status"]) == (201, "active")
    assert await double.kinds(event) == [ADDED, ADDED]
    assert len(await mails(double)) == 1


async def test_the_organizer_can_neither_see_nor_remove_one(double: ApiClient) -> None:
    event = await double.make_event()
    await ask(double, event)
    path = f"/api/events/{event['id']}/subscriptions"
    gone = await double.ask("owner", "DELETE", f"{path}/{(await only(double)).id}")
    assert code_of(gone) == (404, "not_found")
    wrong = await double.ask("owner", "GET", path, params={"status": "pending_confirmation"})
    assert fields_of(wrong) == ["status"]
    assert (await only(double)).ended_at is None


async def test_single_asks_nobody_and_takes_over_who_was_asked(double: ApiClient) -> None:
    event = await double.make_event()
    await ask(double, event)
    double.runtime.settings.anonymous_opt_in = "single"
    await ask(double, event)
    await ask(double, event, "bo@example.org")
    assert {row.status for row in await double.rows(Subscription)} == {"active"}
    assert await double.kinds(event) == [ADDED, ADDED]
    assert len(await mails(double)) == 1


async def test_seven_days_without_an_answer_end_it(double: ApiClient) -> None:
    event = await double.make_event()
    await ask(double, event)
    await double.subscribe_as("member", event["id"])
    waiting = await double.rows(Subscription, Subscription.status == "pending_confirmation")
    token, asked = await token_for(double), waiting[0].created_at
    told = len(await double.rows(OutboxRow))
    assert await housekeeping.end_unconfirmed(double.db, asked + WEEK - timedelta(seconds=1)) == 0
    assert await housekeeping.end_unconfirmed(double.db, asked + WEEK) == 1
    assert await housekeeping.end_unconfirmed(double.db, asked + WEEK) == 0
    reasons = {row.status: row.end_reason for row in await double.rows(Subscription)}
    assert reasons == {"pending_confirmation": "unconfirmed", "active": None}
    assert len(await double.rows(OutboxRow)) == told, "nobody is told"
    assert code_of(await confirm(double, token)) == (410, "token_invalid")


async def test_many_end_in_bounded_batches(double: ApiClient) -> None:
    few = {"batch": 2, "batches": 2}
    event = await double.make_event()
    for number in range(5):
        await ask(double, event, f"person{number}@example.org")
    later = utc_now() + WEEK + timedelta(seconds=1)
    turns = [await housekeeping.end_unconfirmed(double.db, later, **few) for _ in range(3)]
    assert turns == [4, 1, 0]
