"""POST .../notify/preview: the dry run counts what the expansion would write, and sends nothing."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from soonish.delivery.ledger import expansion
from soonish.infra.db.models.events import EventUpdate
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.support.api import ApiClient, code_of, fields_of, instant

NEWS = {"title": "Bring a coat", "body": "It is **cold**."}


async def ask(
    scene: ApiClient, event_id: int, who: str | None = "owner", to: str = "/preview", **fields: Any
) -> httpx2.Response:
    path = f"/api/events/{event_id}/notify{to}"
    return await scene.ask(who, "POST", path, json={**NEWS, **fields})


async def crowd(scene: ApiClient) -> dict[str, Any]:
    """owner over mail, member over two chats, outsider over a channel that is switched off."""
    event = await scene.make_event()
    await scene.subscribe_as("owner", event["id"])
    await scene.add_channel("member", tag="play")
    await scene.add_channel("member", tag="play", apprise_url="ntfy://127.0.0.1:9/topic")
    await scene.subscribe_as("member", event["id"], tags=["play"])
    off = await scene.add_channel("outsider")
    await scene.ask(
        "outsider", "PATCH", f"/api/integrations/{off['id']}", json={"is_active": False}
    )
    await scene.subscribe_as("outsider", event["id"], integration_ids=[off["id"]])
    return event


def channels(answer: httpx2.Response) -> dict[str, tuple[int, int]]:
    found = answer.json()["channels"]
    return {one["channel"]: (one["targets"], one["subscriptions"]) for one in found}


async def test_the_dry_run_says_what_the_expansion_writes(scene: ApiClient) -> None:
    event = await crowd(scene)
    outbox = len(await scene.rows(OutboxRow))
    answer = await ask(scene, event["id"])
    assert answer.status_code == 200, answer.text
    assert (answer.json()["audience"], answer.json()["unreachable"]) == (3, 1)
    assert channels(answer) == {"mail": (1, 1), "json": (1, 1), "ntfy": (1, 1)}
    assert await scene.rows(Notification) == []
    assert await scene.rows(EventUpdate) == []
    assert len(await scene.rows(OutboxRow)) == outbox

    notification_id = await scene.add_notification(event["id"])
    async with scene.db.write() as session:
        row = await session.get_one(Notification, notification_id)
        of_event = Subscription.event_id == event["id"]
        await expansion.expand(session, row, of_event, now=utc_now())
    written = await scene.rows(Delivery)
    assert sum(targets for targets, _ in channels(answer).values()) == len(
        [one for one in written if one.outcome is None]
    )
    assert len([one for one in written if one.outcome]) == answer.json()["unreachable"]


async def test_the_previews_are_the_real_texts(scene: ApiClient) -> None:
    event = await scene.make_event()
    told = (await ask(scene, event["id"], body="Very **cold**. " * 40)).json()
    assert told["mail"]["subject"] == "Bring a coat"
    assert "<strong>cold</strong>" in told["mail"]["html"]
    assert "{{" not in told["mail"]["html"] + told["mail"]["text"]
    assert event["public_url"] in told["mail"]["text"]
    assert told["chat"]["title"] == "Bring a coat"
    assert "**cold**" in told["chat"]["body"]
    assert told["sms"]["body"].startswith("Bring a coat\nVery cold.")
    assert len(told["sms"]["body"]) <= 160
    assert told["sms"]["is_cut"]


async def test_an_audience_by_channel_or_by_the_last_failure(scene: ApiClient) -> None:
    event = await crowd(scene)
    by_chat = await ask(scene, event["id"], channel="ntfy")
    assert (by_chat.json()["audience"], channels(by_chat)) == (1, {"json": (1, 1), "ntfy": (1, 1)})
    assert (await ask(scene, event["id"], channel="discord")).json()["audience"] == 0

    nid = await scene.add_notification(event["id"])
    ids = {one.user_id: one.id for one in await scene.rows(Subscription)}
    member, owner = (scene.users[name].id for name in ("member", "owner"))
    for state in (DeliveryState.FAILED, DeliveryState.SENT):
        await scene.add_delivery(
            nid, "owner", subscription_id=ids[owner], state=state, target_key=state
        )
    await scene.add_delivery(nid, "member", subscription_id=ids[member], state=DeliveryState.FAILED)
    failed = await ask(scene, event["id"], last_failed=True)
    assert (failed.json()["audience"], set(channels(failed))) == (1, {"json", "ntfy"})
    assert (await ask(scene, event["id"], last_failed=True, channel="mail")).json()["audience"] == 0


async def test_a_filtered_message_goes_to_those_of_that_moment_and_is_repeatable(
    scene: ApiClient,
) -> None:
    event = await crowd(scene)
    path = f"/api/events/{event['id']}/notify"
    asked = {"json": {**NEWS, "channel": "mail"}, "headers": {"Idempotency-Key": "k"}}
    first = await scene.ask("owner", "POST", path, **asked)
    assert first.json()["audience"] == 1
    await scene.ask(None, "POST", f"/api/events/{event['id']}/subscribe", json={"email": "a@b.org"})
    assert (await scene.ask("owner", "POST", path, **asked)).json() == first.json()
    (row,) = await scene.rows(Notification)
    (owner,) = await scene.rows(Subscription, Subscription.user_id == scene.users["owner"].id)
    assert row.audience == [owner.id]
    assert await scene.rows(EventUpdate) == []
    everybody = {**asked, "json": NEWS}
    assert code_of(await scene.ask("owner", "POST", path, **everybody)) == (
        409,
        "idempotency_key_reused",
    )


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"title": ""}, "title"),
        ({"body": " "}, "body"),
        ({"subscription_ids": [4711]}, "subscription_ids"),
        ({"channel": ""}, "channel"),
        ({"last_failed": "yes"}, "last_failed"),
    ],
)
async def test_wrong_input_is_named_as_by_notify(
    scene: ApiClient, fields: dict[str, Any], named: str
) -> None:
    event = await scene.make_event()
    for to in ("", "/preview"):
        assert fields_of(await ask(scene, event["id"], to=to, **fields)) == [named]


async def test_only_organizers_of_an_event_that_takes_messages(scene: ApiClient) -> None:
    event = await scene.make_event()
    private = await scene.make_event(is_public=False)
    assert (await ask(scene, event["id"], who=None)).status_code == 401
    assert (await ask(scene, event["id"], who="outsider")).status_code == 403
    assert (await ask(scene, private["id"], who="outsider")).status_code == 404
    await scene.change(event["id"], cancelled_at=instant(-1))
    assert code_of(await ask(scene, event["id"])) == (409, "event_cancelled")
