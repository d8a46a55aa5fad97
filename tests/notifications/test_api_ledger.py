"""What became of a notification: counts, recipients, and another try."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import as_z
from tests.support.api import ApiClient, code_of, fields_of, instant


@pytest.fixture
async def event(scene: ApiClient) -> dict[str, Any]:
    return await scene.make_event()


async def read(scene: ApiClient, event: dict[str, Any], path: str = "", **params: Any) -> Any:
    where = f"/api/events/{event['id']}/notifications{path}"
    answer = await scene.ask("owner", "GET", where, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def retry(scene: ApiClient, event: dict[str, Any], notification_id: int) -> Any:
    path = f"/api/events/{event['id']}/notifications/{notification_id}/retry"
    return await scene.ask("owner", "POST", path)


async def add_integration(scene: ApiClient, name: str, kind: str) -> int:
    async with scene.db.write() as session:
        row = Integration(
            user_id=scene.users[name].id,
            name="Mine",
            apprise_url=f"{kind}://secret-part",
            url_fingerprint="f" * 64,
            tag="t",
            kind=kind,
            target="s***",
        )
        session.add(row)
    return row.id


async def test_a_notification_with_its_counts(scene: ApiClient, event: dict[str, Any]) -> None:
    made = await scene.add_notification(event["id"], title="News", completed_at=instant(1))
    people = ("owner", "member", "outsider")
    for name, state in zip(people, ("sent", "sent", "failed"), strict=True):
        await scene.add_delivery(made, name, state=state)
    await scene.add_delivery(made, "owner", target_key="selector:1", outcome="channel_gone")
    told = await read(scene, event, f"/{made}")
    (row,) = await scene.rows(Notification)
    zero = {"sending": 0, "retrying": 0, "expired": 0, "suppressed": 0}
    assert told == {
        "id": made,
        "kind": "manual",
        "title": "News",
        "created_at": as_z(row.created_at),
        "completed_at": as_z(row.completed_at),
        "counts": {"pending": 1, "sent": 2, "failed": 1, **zero},
    }


async def test_the_list_is_paged_and_holds_only_the_events_own(
    scene: ApiClient, event: dict[str, Any]
) -> None:
    other = await scene.make_event()
    ids = [await scene.add_notification(event["id"], title=f"n{n}") for n in range(5)]
    await scene.add_notification(other["id"])
    await scene.add_delivery(ids[1], state="expired")
    first = await read(scene, event, limit=3)
    await scene.add_notification(event["id"], title="later")
    rest = await read(scene, event, limit=3, cursor=first["next_cursor"])
    told = first["items"] + rest["items"]
    assert [item["id"] for item in told] == ids[::-1]
    assert [item["counts"]["expired"] for item in told] == [0, 0, 0, 1, 0]
    assert rest["next_cursor"] is None


async def test_notifications_without_a_title_of_their_own_have_the_one_that_is_sent(
    scene: ApiClient, event: dict[str, Any]
) -> None:
    for kind, content in (
        ("created", None),
        ("welcome", None),
        ("update", {"changes": []}),
        ("cancelled", None),
        ("reminder_1day", {"distance_seconds": 86_400, "anchor": "start"}),
        ("reminder", {"distance_seconds": 9_000, "anchor": "start"}),
        ("removed", None),
        ("unsubscribed", None),
    ):
        await scene.add_notification(event["id"], kind=kind, title=None, content=content)
    titles = {item["kind"]: item["title"] for item in (await read(scene, event))["items"]}
    assert titles == {
        "created": "Your event Summer party is ready",
        "welcome": "You're subscribed to Summer party",
        "update": "Summer party has changed",
        "cancelled": "Summer party is cancelled",
        "reminder_1day": "Don't forget! Summer party is tomorrow",
        "reminder": "Summer party starts in 2 hours 30 minutes",
        "removed": "You were removed from Summer party",
        "unsubscribed": "You're unsubscribed from Summer party",
    }


async def test_deliveries_tell_what_happened_and_mask_the_address(
    scene: ApiClient, event: dict[str, Any]
) -> None:
    made = await scene.add_notification(event["id"])
    subscription = await scene.subscribe(event["id"])
    integration = await add_integration(scene, "member", "discord")
    common = {"subscription_id": subscription}
    await scene.add_delivery(
        made, state="sent", attempts=2, outcome="ok", finished_at=instant(0), **common
    )
    await scene.add_delivery(made, target_key="f" * 64, integration_id=integration, **common)
    gone = {"target_key": "selector:3", "outcome": "channel_gone"}
    await scene.add_delivery(made, **gone, **common)
    told = (await read(scene, event, f"/{made}/deliveries"))["items"]
    assert [row["channel"] for row in told] == ["mail", "discord", None]
    assert {row["address"] for row in told} == {"m***@e***.com"}
    assert {row["subscription_id"] for row in told} == {subscription}
    assert (told[0]["state"], told[0]["attempts"], told[0]["outcome"]) == ("sent", 2, "ok")
    assert told[0]["finished_at"].endswith("Z")
    assert "member@" not in str(told)
    assert "secret-part" not in str(told)


async def test_deliveries_by_state_and_page(scene: ApiClient, event: dict[str, Any]) -> None:
    made, other = [await scene.add_notification(event["id"]) for _ in range(2)]
    await scene.add_delivery(other, state="failed")
    for n in range(6):
        state = "failed" if n % 2 else "sent"
        await scene.add_delivery(made, target_key=f"t{n}", state=state)
    path = f"/{made}/deliveries"
    states = [row["state"] for row in (await read(scene, event, path))["items"]]
    assert states == ["sent", "failed"] * 3
    assert len((await read(scene, event, path, state="failed"))["items"]) == 3
    assert len((await read(scene, event, path, state=["failed", "sent"]))["items"]) == 6
    assert (await read(scene, event, path, state="expired")) == {"items": [], "next_cursor": None}
    first = await read(scene, event, path, state="failed", limit=2)
    await scene.add_delivery(made, target_key="late", state="failed")
    rest = await read(scene, event, path, state="failed", cursor=first["next_cursor"])
    ids = [row["id"] for row in first["items"] + rest["items"]]
    assert len(ids) == 4
    assert ids == sorted(set(ids))


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"state": "lost"}, "state.0"),
        ({"limit": "201"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"cursor": "?"}, "cursor"),
        ({"cursor": "WyJ4Il0"}, "cursor"),
    ],
)
async def test_a_bad_parameter_is_422_with_its_name(
    scene: ApiClient, event: dict[str, Any], params: dict[str, str], field: str
) -> None:
    made = await scene.add_notification(event["id"])
    path = f"/api/events/{event['id']}/notifications/{made}/deliveries"
    assert fields_of(await scene.ask("owner", "GET", path, params=params)) == [field]


async def test_retry_revives_what_failed_and_nothing_else(
    scene: ApiClient, event: dict[str, Any]
) -> None:
    made = await scene.add_notification(event["id"], completed_at=utc_now())
    spent = {"state": "failed", "attempts": 3, "claims": 2, "outcome": "timeout"}
    late, in_time = instant(-1), instant(1)
    failed = await scene.add_delivery(made, target_key="a", expires_at=in_time, **spent)
    expired = await scene.add_delivery(made, target_key="b", expires_at=late, **spent)
    for state in ("sent", "suppressed", "expired", "pending"):
        await scene.add_delivery(made, target_key=state, state=state, attempts=1)
    answer = await retry(scene, event, made)
    assert (answer.status_code, answer.json()) == (202, {"notification_id": made, "retried": 1})
    rows = {row.id: row for row in await scene.rows(Delivery)}
    again = rows.pop(failed)
    assert (again.state, again.attempts, again.claims, again.outcome) == ("pending", 0, 0, None)
    assert rows.pop(expired).state == "failed"
    assert {row.target_key: row.state for row in rows.values()} == {
        state: state for state in ("sent", "suppressed", "expired", "pending")
    }
    (row,) = await scene.rows(Notification)
    assert row.completed_at is None
    (told,) = await scene.rows(OutboxRow, OutboxRow.stream == f"notification-{made}")
    assert (told.kind, told.payload) == ("wake", {})


async def test_retries_at_the_same_time_revive_once(
    scene: ApiClient, event: dict[str, Any]
) -> None:
    made = await scene.add_notification(event["id"])
    for n in range(3):
        await scene.add_delivery(made, target_key=f"t{n}", state="failed", attempts=3)
    answers = await asyncio.gather(*(retry(scene, event, made) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(answer.json()["retried"] for answer in answers) == [0, 0, 0, 0, 0, 3]
    assert len(await scene.rows(OutboxRow, OutboxRow.stream == f"notification-{made}")) == 1


async def test_what_is_too_late_altogether_is_409(scene: ApiClient, event: dict[str, Any]) -> None:
    made = await scene.add_notification(event["id"], completed_at=utc_now())
    await scene.add_delivery(made, state="failed", attempts=3, expires_at=instant(-1))
    assert code_of(await retry(scene, event, made)) == (409, "notification_expired")
    (row,) = await scene.rows(Notification)
    assert row.completed_at is not None


async def test_without_failures_there_is_nothing_to_do(
    scene: ApiClient, event: dict[str, Any]
) -> None:
    made = await scene.add_notification(event["id"], completed_at=utc_now())
    await scene.add_delivery(made, state="sent")
    answer = await retry(scene, event, made)
    assert (answer.status_code, answer.json()["retried"]) == (202, 0)
    assert await scene.rows(OutboxRow, OutboxRow.stream == f"notification-{made}") == []
    (row,) = await scene.rows(Notification)
    assert row.completed_at is not None


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/{n}"), ("GET", "/{n}/deliveries"), ("POST", "/{n}/retry")],
)
async def test_organizers_only(scene: ApiClient, method: str, path: str) -> None:
    people = ("owner", "member", "outsider", None)
    told: list[list[int]] = []
    for is_public in (True, False):
        event = await scene.make_event(is_public=is_public)
        made = await scene.add_notification(event["id"])
        where = f"/api/events/{event['id']}/notifications" + path.format(n=made)
        told.append([(await scene.ask(who, method, where)).status_code for who in people])
    fine = 202 if method == "POST" else 200
    assert told == [[fine, 403, 403, 401], [fine, 404, 404, 401]]


async def test_a_notification_of_another_event_is_404(
    scene: ApiClient, event: dict[str, Any]
) -> None:
    theirs = await scene.add_notification((await scene.make_event())["id"])
    mail = await scene.add_notification(event["id"])
    async with scene.db.write() as session:
        (await session.get_one(Notification, mail)).event_id = None
    for made in (str(theirs), str(mail), "4711", "0", "x", str(2**63)):
        where = f"/api/events/{event['id']}/notifications/{made}"
        for method, path in (("GET", ""), ("GET", "/deliveries"), ("POST", "/retry")):
            answer = await scene.ask("owner", method, where + path)
            assert code_of(answer) == (404, "not_found")
