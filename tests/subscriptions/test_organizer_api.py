"""An organizer's list of subscribers, and removal, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from soonish.infra.db.models.subscriptions import Subscription
from tests.support.api import ApiClient, code_of, fields_of


async def filled(scene: ApiClient) -> dict[str, Any]:
    event = await scene.make_event()
    for email, name in (("anna@example.org", "Anna Ås"), ("bo@example.org", "Bo 100%")):
        body = {"email": email, "name": name}
        await scene.ask(None, "POST", f"/api/events/{event['id']}/subscribe", json=body)
    await scene.add_channel("member")
    off = await scene.add_channel("member", tag="off", apprise_url="ntfy://topic-one")
    await scene.ask("member", "PATCH", f"/api/integrations/{off['id']}", json={"is_active": False})
    await scene.subscribe_as("member", event["id"], tags=["chat", "off"])
    return event


def path(event: dict[str, Any], subscription_id: int | str = "") -> str:
    return f"/api/events/{event['id']}/subscriptions" + (
        f"/{subscription_id}" if subscription_id else ""
    )


async def test_organizers_see_addresses_names_and_channels(scene: ApiClient) -> None:
    event = await filled(scene)
    page = (await scene.ask("owner", "GET", path(event))).json()
    assert page["next_cursor"] is None
    assert set(page["items"][0]) == {"id", "name", "address", "status", "channels", "created_at"}
    seen = [(item["address"], item["name"], item["channels"]) for item in page["items"]]
    assert seen == [
        ("member@example.com", None, ["json"]),
        ("bo@example.org", "Bo 100%", ["mail"]),
        ("anna@example.org", "Anna Ås", ["mail"]),
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("anna", ["anna@example.org"]),
        ("%", ["bo@example.org"]),
        ("ANNA@EXAMPLE.ORG ", ["anna@example.org"]),
        ("anna@", []),
        ("example.org", []),
    ],
)
async def test_the_list_is_searched_by_name_and_whole_address(
    scene: ApiClient, query: str, found: list[str]
) -> None:
    event = await filled(scene)
    answer = await scene.ask("owner", "GET", path(event), params={"query": query})
    assert [item["address"] for item in answer.json()["items"]] == found


async def test_the_list_is_filtered_and_paged(scene: ApiClient) -> None:
    event = await filled(scene)
    await scene.subscribe(event["id"], "outsider", status="pending_approval")
    for status, count in (("active", 3), ("pending_approval", 1)):
        answer = await scene.ask("owner", "GET", path(event), params={"status": status})
        assert [item["status"] for item in answer.json()["items"]] == [status] * count
    ids: list[int] = []
    cursor = None
    for _ in range(4):
        params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await scene.ask("owner", "GET", path(event), params=params)).json()
        ids += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == 4
    for wrong in ({"status": "ended"}, {"limit": 0}, {"cursor": "x"}, {"query": "x" * 321}):
        answer = await scene.ask("owner", "GET", path(event), params=wrong)
        assert fields_of(answer) == list(wrong)


async def test_others_may_not_see_or_remove(scene: ApiClient) -> None:
    public = await filled(scene)
    [mine] = await scene.rows(Subscription, Subscription.user_id == scene.users["member"].id)
    for who, status in ((None, 401), ("outsider", 403), ("member", 403)):
        assert (await scene.ask(who, "GET", path(public))).status_code == status
        assert (await scene.ask(who, "DELETE", path(public, mine.id))).status_code == status
    await scene.change(public["id"], is_public=False)
    for method, address in (("GET", path(public)), ("DELETE", path(public, mine.id))):
        assert code_of(await scene.ask("outsider", method, address)) == (404, "not_found")
    assert len(await scene.rows(Subscription, Subscription.ended_at.is_(None))) == 3


@pytest.mark.parametrize(
    ("params", "extra"), [({}, {}), ({"notify_others": "true"}, {"notify_others": True})]
)
async def test_removal_tells_once(
    scene: ApiClient, params: dict[str, str], extra: dict[str, Any]
) -> None:
    event, other = await filled(scene), await scene.make_event()
    [row] = await scene.rows(Subscription, Subscription.user_id == scene.users["member"].id)
    assert (await scene.ask("owner", "DELETE", path(other, row.id))).status_code == 404
    assert (await scene.ask("owner", "DELETE", path(event, 999_999))).status_code == 404
    for _ in range(2):
        answer = await scene.ask("owner", "DELETE", path(event, row.id), params=params)
        assert answer.status_code == 204
    removed = [p for kind, p in await scene.outbox_of(event) if kind == "participant_removed"]
    assert removed == [{"subscription_id": row.id, **extra}]
    [row] = await scene.rows(Subscription, Subscription.id == row.id)
    assert row.end_reason == "removed"
    listed = (await scene.ask("owner", "GET", path(event))).json()["items"]
    assert row.id not in [item["id"] for item in listed]
