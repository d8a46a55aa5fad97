"""A channel that comes back, through the API, the outbox, Temporal and a worker."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from soonish.app import make_app
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.types import utc_now
from soonish.ops import health
from tests.support.api import ApiClient
from tests.support.http_sink import Reply
from tests.support.wait import eventually
from tests.workflows.running import Running

OFF, ON = {"is_active": False}, {"is_active": True}


class People(ApiClient):
    """Owner, member and outsider before the API of a running installation."""

    async def done(self, who: str, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.ask(who, method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def add_room(self, url: str, tag: str = "chat") -> int:
        body = {"name": "Room", "apprise_url": url, "tag": tag, "verify": False}
        return (await self.done("member", "POST", "/api/integrations", body))["id"]

    async def patch(self, channel: int, **values: Any) -> dict[str, Any]:
        return await self.done("member", "PATCH", f"/api/integrations/{channel}", values)

    async def follow(self, event_id: int, **selectors: Any) -> None:
        await self.done("member", "POST", f"/api/events/{event_id}/subscribe", selectors)

    async def notify(self, event_id: int, title: str) -> int:
        body = {"title": title, "body": "Hello."}
        path = f"/api/events/{event_id}/notify"
        return (await self.done("owner", "POST", path, body))["notification_id"]


@pytest.fixture
async def people(running: Running) -> AsyncGenerator[People]:
    transport = httpx2.ASGITransport(app=make_app(running.runtime))
    base_url = running.runtime.settings.base_url
    async with httpx2.AsyncClient(transport=transport, base_url=base_url) as client:
        made = People(running.runtime, client)
        for name in ("owner", "member"):
            await made.add_person(name)
        yield made


async def waiting(running: Running, notification_id: int, outcome: str) -> None:
    """Until the notification is completed with one row that waits for a channel."""
    await running.completed(notification_id)
    row = await running.world.one(Delivery, Delivery.notification_id == notification_id)
    assert (row.state, row.outcome) == ("pending", outcome)


async def counts(running: Running) -> tuple[bool, int, int]:
    """What /api/health says about channels."""
    found = (await health.check_health(running.runtime)).integrations
    return found.ok, found.open_circuits, found.failing


async def arrived(running: Running, path: str, title: str) -> None:
    await eventually(
        lambda: title in [request.json()["title"] for request in running.http.at(path)],
        20,
        f"{title} at {path}",
    )


async def test_switched_on_again_it_gets_what_waited(running: Running, people: People) -> None:
    event = await people.make_event()
    channel = await people.add_room(running.http.apprise_url("/room"))
    await people.follow(event["id"], integration_ids=[channel])
    await arrived(running, "/room", "You're subscribed to Summer party")
    await people.patch(channel, **OFF)
    first = await people.notify(event["id"], "First")
    await waiting(running, first, "channel_inactive")
    assert (await people.patch(channel, **ON))["is_active"]
    await arrived(running, "/room", "First")
    await running.completed(first)
    assert sorted(await running.world.states(first)) == ["sent", "suppressed"]
    assert len(running.http.at("/room")) == 2


async def test_replaced_it_gets_what_waited_at_its_new_place(
    running: Running, people: People
) -> None:
    event = await people.make_event()
    channel = await people.add_room(running.http.apprise_url("/old"))
    await people.patch(channel, **OFF)
    await people.follow(event["id"], integration_ids=[channel])
    message = await people.notify(event["id"], "News")
    await waiting(running, message, "channel_inactive")
    await people.patch(channel, apprise_url=running.http.apprise_url("/new"), **ON)
    await arrived(running, "/new", "News")
    assert running.http.at("/old") == []


async def test_a_new_channel_with_the_tag_gets_what_waited(
    running: Running, people: People
) -> None:
    event = await people.make_event()
    first = await people.add_room(running.http.apprise_url("/first"))
    await people.follow(event["id"], tags=["chat"])
    await arrived(running, "/first", "You're subscribed to Summer party")
    answer = await people.ask("member", "DELETE", f"/api/integrations/{first}")
    assert answer.status_code == 204
    message = await people.notify(event["id"], "News")
    await waiting(running, message, "channel_gone")
    await people.add_room(running.http.apprise_url("/second"))
    await arrived(running, "/second", "News")
    assert len(running.http.at("/first")) == 1


async def test_back_too_late_it_gets_nothing(running: Running, people: People) -> None:
    event = await people.make_event()
    channel = await people.add_room(running.http.apprise_url("/room"))
    await people.patch(channel, **OFF)
    await people.follow(event["id"], integration_ids=[channel])
    late = await people.notify(event["id"], "Late")
    await waiting(running, late, "channel_inactive")
    row = await running.world.one(Delivery, Delivery.notification_id == late)
    await running.world.change(Delivery, row.id, expires_at=utc_now())
    await people.patch(channel, **ON)
    fresh = await people.notify(event["id"], "Fresh")
    await arrived(running, "/room", "Fresh")
    await running.completed(fresh)
    assert "Late" not in [request.json()["title"] for request in running.http.at("/room")]


async def test_a_circuit_opens_in_the_api_and_closes_with_a_test(
    running: Running, people: People
) -> None:
    event = await people.make_event()
    channel = await people.add_room(running.http.apprise_url("/room"))
    await people.follow(event["id"], integration_ids=[channel])
    await arrived(running, "/room", "You're subscribed to Summer party")
    running.http.replies["/room"] = Reply(status=500)
    for n in range(5):
        await people.notify(event["id"], f"Lost {n}")
    path = f"/api/integrations/{channel}"

    async def circuit() -> str:
        return (await people.ask("member", "GET", path)).json()["circuit"]

    async def is_open() -> bool:
        return await circuit() == "open"

    await eventually(is_open, 20, "the circuit to open")
    assert await counts(running) == (False, 1, 0)
    tries = len(running.http.at("/room"))
    message = await people.notify(event["id"], "After")

    async def put_off() -> bool:
        rows = await running.world.deliveries(message)
        return bool(rows) and rows[0].next_attempt_at is not None

    await eventually(put_off, 20, "the message to wait for the circuit")
    assert len(running.http.at("/room")) == tries
    running.http.replies["/room"] = Reply()
    answer = await people.ask("member", "POST", f"{path}/test")
    assert answer.json()["ok"] is True
    await arrived(running, "/room", "After")
    assert await circuit() == "closed"
    assert await counts(running) == (True, 0, 0)
    [row] = await running.world.rows(Integration)
    assert (row.fail_streak, row.failing_since, row.open_until) == (0, None, None)


async def test_the_owner_of_a_failing_channel_gets_one_mail(
    running: Running, people: People
) -> None:
    event = await people.make_event()
    channel = await people.add_room(running.http.apprise_url("/gone"))
    running.http.replies["/gone"] = Reply(status=410)
    await people.follow(event["id"], integration_ids=[channel])
    for n in range(2):
        await running.completed(await people.notify(event["id"], f"Lost {n}"))
    mail = await eventually(
        lambda: [m for m in running.mail.to("member@example.com") if "Room" in m.message["Subject"]]
    )
    assert len(mail) == 1
    shown = (await people.ask("member", "GET", f"/api/integrations/{channel}")).json()
    assert shown["failing_since"].endswith("Z")
    assert (shown["is_active"], shown["circuit"]) == (True, "closed")
    assert await counts(running) == (False, 0, 1)
    told = await running.world.rows(Notification, Notification.kind == "channel_failing")
    assert len(told) == 1
    await running.world.change(
        Integration, channel, failing_since=utc_now() - timedelta(days=5, seconds=1)
    )
    await running.completed(await people.notify(event["id"], "Last"))
    shown = (await people.ask("member", "GET", f"/api/integrations/{channel}")).json()
    assert shown["is_active"] is False
    assert await counts(running) == (True, 0, 0)  # it is nobody's trouble any more
    await eventually(
        lambda: any(
            "switched off" in str(m.message["Subject"])
            for m in running.mail.to("member@example.com")
        )
    )
