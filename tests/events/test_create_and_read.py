"""POST and GET /api/events/{id}: who may, what is refused, what comes back."""

from __future__ import annotations

import re
from typing import Any

import pytest

from soonish.infra.db.models.events import Event
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.types import utc_now
from tests.support.api import ApiClient, code_of, fields_of, in_hours, instant

ALL_FIELDS = (
    "id owner_user_id name start_date end_date description location contact category tags timezone "
    "is_public status slug public_url temporal_workflow_id subscriber_count created_at updated_at"
)


async def test_the_created_event_is_told_in_full(scene: ApiClient) -> None:
    body: dict[str, Any] = {
        "name": "  Jazz im Hof: Änne & Freunde ",
        "start_date": "2031-06-01T20:00:00+02:00",
        "end_date": "2031-06-01T23:00:00+02:00",
        "description": "Bring a *chair*.",
        "location": "Berlin",
        "contact": "anna@example.com",
        "category": "Music",
        "tags": ["Jazz", "outside", "jazz"],
        "timezone": "Europe/Berlin",
        "is_public": False,
    }
    answer = await scene.ask("owner", "POST", "/api/events", json=body)
    assert answer.status_code == 201
    made = answer.json()
    assert set(made) == set(ALL_FIELDS.split())
    assert (
        made
        | {
            "owner_user_id": scene.users["owner"].id,
            "name": "Jazz im Hof: Änne & Freunde",
            "start_date": "2031-06-01T18:00:00Z",
            "end_date": "2031-06-01T21:00:00Z",
            "description": "Bring a *chair*.",
            "location": "Berlin",
            "contact": "anna@example.com",
            "category": "Music",
            "tags": ["jazz", "outside"],
            "timezone": "Europe/Berlin",
            "is_public": False,
            "status": "scheduled",
            "subscriber_count": 0,
            "public_url": f"{scene.runtime.settings.base_url}/e/{made['slug']}",
        }
        == made
    )
    assert re.fullmatch(r"jazz-im-hof-anne-freunde-[a-z0-9]{8}", made["slug"])
    assert re.fullmatch(rf"event-{made['id']}-[0-9a-f-]{{36}}", made["temporal_workflow_id"])
    assert made["created_at"].endswith("Z")
    read = await scene.ask("owner", "GET", f"/api/events/{made['id']}")
    assert (read.status_code, read.json()) == (200, made)


async def test_temporal_is_told_and_the_reminders_are_planned(scene: ApiClient) -> None:
    event = await scene.make_event(start_date=in_hours(12))
    assert await scene.outbox_of(event) == [("wake", {"event_id": event["id"]})]
    rows = await scene.rows(Reminder)
    # A day before is already past, so only the hour is made.
    assert [(r.event_id, r.offset_seconds) for r in rows] == [(event["id"], 3600)]


@pytest.mark.parametrize("name", ["!!!", "日本語", "x" * 200, "a-" * 100])
async def test_slugs_are_short_readable_and_never_the_same(scene: ApiClient, name: str) -> None:
    slugs = {(await scene.make_event(name=name))["slug"] for _ in range(3)}
    assert len(slugs) == 3
    for slug in slugs:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-[a-z0-9]{8}", slug)
        assert len(slug) <= 69


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"start_date": in_hours(-1)}, ["start_date"]),
        ({"end_date": in_hours(47)}, ["end_date"]),
        (
            {"start_date": "2031-01-01T00:00:00Z", "end_date": "2031-01-01T01:00:00+01:00"},
            ["end_date"],
        ),
        ({"name": "", "tags": [""], "timezone": "x"}, ["name", "tags.0", "timezone"]),
        ({"nonsense": 1}, ["nonsense"]),
    ],
)
async def test_what_cannot_be_is_422_with_its_field(
    scene: ApiClient, fields: dict[str, Any], named: list[str]
) -> None:
    body = {"name": "Party", "start_date": in_hours(48), **fields}
    answer = await scene.ask("owner", "POST", "/api/events", json=body)
    assert sorted(fields_of(answer)) == sorted(named)
    assert await scene.rows(Event) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 5000])
async def test_a_body_that_is_no_object_is_422(scene: ApiClient, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await scene.ask("owner", "POST", "/api/events", content=content, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_creating_takes_a_verified_account(scene: ApiClient) -> None:
    body = {"name": "Party", "start_date": in_hours(48)}
    answer = await scene.ask(None, "POST", "/api/events", json=body)
    assert code_of(answer) == (401, "unauthorized")
    await scene.add_person("newcomer", verified=False)
    answer = await scene.ask("newcomer", "POST", "/api/events", json=body)
    assert code_of(answer) == (403, "email_not_verified")
    assert await scene.rows(Event) == []
    assert await scene.rows(OutboxRow, OutboxRow.stream.like("event-%")) == []


@pytest.mark.parametrize("who", ["owner", "member", "outsider", None])
async def test_a_public_event_is_for_everybody(scene: ApiClient, who: str | None) -> None:
    event = await scene.make_event()
    for path in ("", "/updates"):
        answer = await scene.ask(who, "GET", f"/api/events/{event['id']}{path}")
        assert answer.status_code == 200


async def test_a_private_event_is_for_its_owner_and_subscribers(scene: ApiClient) -> None:
    event = await scene.make_event(is_public=False)
    path = f"/api/events/{event['id']}"
    await scene.subscribe(event["id"], "member")
    statuses = {who: await seen(scene, who, path) for who in ("owner", "member", "outsider", None)}
    assert statuses == {"owner": 200, "member": 200, "outsider": 404, None: 404}


@pytest.mark.parametrize("values", [{"ended_at": utc_now()}, {"status": "pending_approval"}])
async def test_only_an_active_subscription_shows_a_private_event(
    scene: ApiClient, values: dict[str, Any]
) -> None:
    event = await scene.make_event(is_public=False)
    await scene.subscribe(event["id"], "member", **values)
    assert await seen(scene, "member", f"/api/events/{event['id']}") == 404


async def seen(scene: ApiClient, who: str | None, path: str) -> int:
    statuses = {(await scene.ask(who, "GET", path + part)).status_code for part in ("", "/updates")}
    return statuses.pop() if len(statuses) == 1 else -1


@pytest.mark.parametrize(
    "event_id", ["0", "-1", "x", "9223372036854775808", "1" * 40, "1.5", "4711"]
)
async def test_an_id_that_is_none_is_404(scene: ApiClient, event_id: str) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        body = {} if method == "PATCH" else None
        answer = await scene.ask("owner", method, f"/api/events/{event_id}", json=body)
        assert code_of(answer) == (404, "not_found")


async def test_status_follows_the_clock(scene: ApiClient) -> None:
    event = await scene.make_event()
    path = f"/api/events/{event['id']}"
    for dates, expected in [
        ({"start_date": instant(1), "end_date": None}, "scheduled"),
        ({"start_date": instant(-1), "end_date": instant(1)}, "ongoing"),
        ({"start_date": instant(-2), "end_date": instant(-1)}, "ended"),
        ({"start_date": instant(-1), "end_date": None}, "ended"),
        ({"start_date": instant(1), "cancelled_at": utc_now()}, "cancelled"),
    ]:
        await scene.change(event["id"], **dates)
        assert (await scene.ask(None, "GET", path)).json()["status"] == expected


async def test_subscribers_are_counted_while_active(scene: ApiClient) -> None:
    event = await scene.make_event()
    await scene.subscribe(event["id"], "member", ended_at=utc_now())
    await scene.subscribe(event["id"], "member")
    await scene.subscribe(event["id"], "outsider", status="pending_approval")
    answer = await scene.ask(None, "GET", f"/api/events/{event['id']}")
    assert answer.json()["subscriber_count"] == 1
