"""A user's channels over HTTP."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from soonish.delivery.transports.outcome import Outcome
from soonish.domain.integrations import service
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import DeliveryState
from soonish.infra.db.types import utc_now
from tests.support.api import ApiClient, code_of, fields_of
from tests.support.http_sink import HttpSink, Reply

LIST = "/api/integrations"


def one(made: dict[str, Any]) -> str:
    return f"{LIST}/{made['id']}"


def body(**fields: Any) -> dict[str, Any]:
    return {"name": "Chat", "apprise_url": "json://127.0.0.1:9/a", "tag": "Chat ", **fields}


async def test_with_verify_a_test_message_decides(scene: ApiClient, http_sink: HttpSink) -> None:
    url = http_sink.apprise_url("/secret-path")
    answer = await scene.ask("owner", "POST", LIST, json=body(apprise_url=url))
    made = answer.json()
    assert answer.status_code == 201
    assert made["verification"]["ok"] is True
    assert made["verification"]["outcome"] == "ok"
    assert (made["is_active"], made["kind"], made["tag"]) == (True, "json", "chat")
    assert made["last_delivery_at"].endswith("Z")
    assert made["circuit"] == "closed"
    [request] = http_sink.at("/secret-path")
    assert "Soonish" in request.json()["title"]
    assert "secret-path" not in answer.text


async def test_a_failed_test_is_told_and_leaves_the_channel_off(
    scene: ApiClient, http_sink: HttpSink
) -> None:
    http_sink.default = Reply(status=403)
    answer = await scene.ask("owner", "POST", LIST, json=body(apprise_url=http_sink.apprise_url()))
    made = answer.json()
    assert answer.status_code == 201
    assert (made["verification"]["ok"], made["verification"]["outcome"]) == (False, "rejected")
    assert made["is_active"] is False
    assert (await scene.ask("owner", "GET", one(made))).json()["is_active"] is False


async def test_without_verify_nothing_is_sent(scene: ApiClient, http_sink: HttpSink) -> None:
    made = await scene.add_channel("owner", apprise_url=http_sink.apprise_url())
    assert (made["is_active"], made["verification"]) == (True, None)
    assert http_sink.requests == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": None}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"tag": ""}, "tag"),
        ({"tag": "x" * 65}, "tag"),
        ({"apprise_url": ""}, "apprise_url"),
        ({"apprise_url": "nothing"}, "apprise_url"),
        ({"apprise_url": "json://a.example/x" + "y" * 4096}, "apprise_url"),
        ({"apprise_url": "dbus://"}, "apprise_url"),
        ({"apprise_url": "json://10.0.0.1/"}, "apprise_url"),
        ({"verify": "yes"}, "verify"),
        ({"user_id": 1}, "user_id"),
    ],
)
async def test_wrong_fields_are_named(scene: ApiClient, wrong: dict[str, Any], field: str) -> None:
    answer = await scene.ask("owner", "POST", LIST, json=body(verify=False) | wrong)
    assert fields_of(answer) == [field]
    assert await scene.rows(Integration) == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("json://10.0.0.1/", "blocked_target"),
        ("", "invalid"),
        (" ", "invalid"),
        ("json://a.example/x" + "y" * 4096, "invalid"),
    ],
)
async def test_a_refused_url_has_a_code_of_its_own(scene: ApiClient, url: str, code: str) -> None:
    answer = await scene.ask("owner", "POST", LIST, json=body(apprise_url=url))
    assert code_of(answer) == (422, f"integration_url_{code}")
    assert fields_of(answer) == ["apprise_url"]


async def test_the_same_url_and_tag_is_a_conflict(scene: ApiClient) -> None:
    await scene.add_channel("owner")
    for tag, status in (("CHAT", 409), ("work", 201)):
        fields = body(tag=tag, verify=False, apprise_url=" json://127.0.0.1:9/a ")
        assert (await scene.ask("owner", "POST", LIST, json=fields)).status_code == status
    answer = await scene.ask("owner", "POST", LIST, json=body(verify=False))
    assert code_of(answer) == (409, "integration_duplicate")
    await scene.add_channel("member")  # somebody else may have the same


async def test_a_race_of_two_makes_one(scene: ApiClient) -> None:
    answers = await asyncio.gather(
        *(scene.ask("owner", "POST", LIST, json=body(verify=False)) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert len(await scene.rows(Integration)) == 1


async def test_after_deletion_the_url_is_gone_and_free_again(scene: ApiClient) -> None:
    made = await scene.add_channel("owner")
    assert (await scene.ask("owner", "DELETE", one(made))).status_code == 204
    [row] = await scene.rows(Integration)
    assert (row.apprise_url, row.is_active) == (None, False)
    assert row.deleted_at is not None
    for method in ("GET", "DELETE"):
        assert code_of(await scene.ask("owner", method, one(made))) == (404, "not_found")
    again = await scene.add_channel("owner")
    assert again["id"] != made["id"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")]
)
async def test_somebody_elses_channel_is_not_there(
    scene: ApiClient, method: str, path: str
) -> None:
    made = await scene.add_channel("owner")
    arguments = {"json": {"name": "Mine"}} if method == "PATCH" else {}
    for who, status in (("outsider", 404), (None, 401)):
        answer = await scene.ask(who, method, one(made) + path, **arguments)
        assert answer.status_code == status
    assert (await scene.ask("owner", "GET", one(made))).json()["name"] == "Chat"


async def test_lists_are_ones_own_and_paged(scene: ApiClient) -> None:
    made = [await scene.add_channel("owner", tag=f"t{n}") for n in range(3)]
    await scene.add_channel("member")
    first = (await scene.ask("owner", "GET", LIST, params={"limit": 2})).json()
    cursor = first["next_cursor"]
    rest = (await scene.ask("owner", "GET", LIST, params={"cursor": cursor})).json()
    assert [c["id"] for c in first["items"] + rest["items"]] == [c["id"] for c in made]
    assert rest["next_cursor"] is None
    for wrong in ({"cursor": "nonsense"}, {"limit": 201}):
        answer = await scene.ask("owner", "GET", LIST, params=wrong)
        assert fields_of(answer) == list(wrong)
    assert (await scene.ask(None, "GET", LIST)).status_code == 401


async def test_patch_changes_what_is_sent(scene: ApiClient) -> None:
    made = await scene.add_channel("owner")
    changes = {"name": "Work", "tag": "WORK", "is_active": False}
    answer = await scene.ask("owner", "PATCH", one(made), json=changes)
    assert answer.status_code == 200
    expected = {"name": "Work", "tag": "work", "is_active": False}
    assert answer.json() == {k: v for k, v in made.items() if k != "verification"} | expected
    for wrong in ({"name": None}, {"is_active": 1}, {"tag": ""}, {"kind": "x"}):
        assert fields_of(await scene.ask("owner", "PATCH", one(made), json=wrong)) == list(wrong)


async def test_patch_to_a_channel_that_exists_is_a_conflict(scene: ApiClient) -> None:
    await scene.add_channel("owner")
    other = await scene.add_channel("owner", tag="work")
    answer = await scene.ask("owner", "PATCH", one(other), json={"tag": "chat"})
    assert code_of(answer) == (409, "integration_duplicate")
    assert (await scene.ask("owner", "GET", one(other))).json()["tag"] == "work"


async def test_a_new_url_is_checked_and_starts_healthy(scene: ApiClient) -> None:
    made = await scene.add_channel("owner")
    async with scene.db.write() as session:
        row = await session.get_one(Integration, made["id"])
        row.fail_streak, row.open_until = 5, utc_now() + timedelta(hours=1)
        row.failing_since = utc_now()
    assert (await scene.ask("owner", "GET", one(made))).json()["circuit"] == "open"
    bad = await scene.ask("owner", "PATCH", one(made), json={"apprise_url": "syslog://"})
    assert fields_of(bad) == ["apprise_url"]
    good = await scene.ask("owner", "PATCH", one(made), json={"apprise_url": "ntfy://topic-one"})
    assert good.json()["kind"] == "ntfy"
    assert (good.json()["circuit"], good.json()["failing_since"]) == ("closed", None)
    [row] = await scene.rows(Integration)
    assert row.url_fingerprint == service.url_fingerprint(" ntfy://topic-one ")
    assert row.apprise_url == "ntfy://topic-one"


async def test_tests_are_limited_to_five_a_minute(scene: ApiClient, http_sink: HttpSink) -> None:
    scene.runtime.settings.rate_limits_enabled = True
    made = await scene.add_channel("owner", apprise_url=http_sink.apprise_url())
    other = await scene.add_channel("member", apprise_url=http_sink.apprise_url())
    for _ in range(5):
        answer = await scene.ask("owner", "POST", f"{one(made)}/test")
        assert (answer.status_code, answer.json()["ok"]) == (200, True)
    refused = await scene.ask("owner", "POST", f"{one(made)}/test")
    assert code_of(refused) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await scene.ask("member", "POST", f"{one(other)}/test")).status_code == 200
    assert len(http_sink.requests) == 6


async def test_a_failed_test_does_not_switch_the_channel_off(
    scene: ApiClient, http_sink: HttpSink
) -> None:
    http_sink.default = Reply(status=500)
    made = await scene.add_channel("owner", apprise_url=http_sink.apprise_url())
    answer = await scene.ask("owner", "POST", f"{one(made)}/test")
    assert (answer.status_code, answer.json()["ok"]) == (200, False)
    assert (await scene.ask("owner", "GET", one(made))).json()["is_active"] is True


async def _waiting(scene: ApiClient, who: str, outcome: Outcome, **fields: Any) -> int:
    event = await scene.make_event()
    notification = await scene.add_notification(event["id"])
    values: dict[str, Any] = {
        "state": DeliveryState.PENDING,
        "outcome": outcome,
        "expires_at": utc_now() + timedelta(hours=1),
        "target_key": "selector:1",
    }
    await scene.add_delivery(notification, who, **(values | fields))
    return notification


@pytest.mark.parametrize(
    "change", [{"is_active": True}, {"apprise_url": "ntfy://other", "is_active": True}]
)
async def test_a_channel_that_comes_back_wakes_what_waits_for_it(
    scene: ApiClient, change: dict[str, Any]
) -> None:
    made = await scene.add_channel("owner")
    await scene.ask("owner", "PATCH", one(made), json={"is_active": False})
    mine = await _waiting(scene, "owner", Outcome.CHANNEL_INACTIVE)
    gone = await _waiting(scene, "owner", Outcome.CHANNEL_GONE)
    others = await _waiting(scene, "member", Outcome.CHANNEL_INACTIVE)
    expired = await _waiting(scene, "owner", Outcome.CHANNEL_GONE, expires_at=utc_now())
    sent = await _waiting(scene, "owner", Outcome.OK, state=DeliveryState.SENT)
    assert (await scene.ask("owner", "PATCH", one(made), json=change)).status_code == 200
    woken = {n: await scene.stream(f"notification-{n}") for n in (mine, gone)}
    payload = [{"user_id": scene.users["owner"].id}]
    assert woken == {mine: payload, gone: payload}
    for notification in (others, expired, sent):
        assert await scene.stream(f"notification-{notification}") == []


async def test_switching_off_and_renaming_wake_nothing(scene: ApiClient) -> None:
    made = await scene.add_channel("owner")
    mine = await _waiting(scene, "owner", Outcome.CHANNEL_INACTIVE)
    for change in ({"name": "Other"}, {"is_active": False}, {"apprise_url": "ntfy://other"}):
        assert (await scene.ask("owner", "PATCH", one(made), json=change)).status_code == 200
    assert await scene.stream(f"notification-{mine}") == []


async def test_a_verified_new_channel_wakes_what_waits(
    scene: ApiClient, http_sink: HttpSink
) -> None:
    mine = await _waiting(scene, "owner", Outcome.CHANNEL_GONE)
    fields = {"verify": True, "apprise_url": http_sink.apprise_url()}
    await scene.add_channel("owner", **fields)
    assert len(await scene.stream(f"notification-{mine}")) == 1
