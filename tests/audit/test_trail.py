"""What is done over HTTP leaves its entries, and who may read them."""

from __future__ import annotations

from typing import Any

import httpx2

from soonish.infra.db.models.audit import AuditEntry
from tests.support.api import in_hours
from tests.web.site import Site, Visitor, local_in

SAME_SITE = {"sec-fetch-site": "same-origin"}
PASSWORD = "correct horse battery"


async def api(visitor: Visitor, method: str, path: str, **body: Any) -> httpx2.Response:
    return await visitor.client.request(method, path, headers=SAME_SITE, json=body or None)


async def own(visitor: Visitor) -> list[tuple[str, str]]:
    """(action, outcome) of the visitor's entries, oldest first."""
    answer = await api(visitor, "GET", "/api/users/me/audit")
    assert answer.status_code == 200, answer.text
    return [(one["action"], one["outcome"]) for one in reversed(answer.json()["items"])]


async def event_of(visitor: Visitor) -> int:
    made = await api(visitor, "POST", "/api/events", name="Tea", start_date=in_hours(48))
    assert made.status_code == 201, made.text
    return made.json()["id"]


async def test_an_organizers_deeds(site: Site) -> None:
    ana = await site.member("ana")
    event_id = await event_of(ana)
    await api(ana, "PATCH", f"/api/events/{event_id}", location="Park")
    await api(ana, "POST", f"/api/events/{event_id}/notify", title="Hi", body="There")
    await api(ana, "DELETE", f"/api/events/{event_id}")
    assert await own(ana) == [
        ("event.create", "ok"),
        ("event.update", "ok"),
        ("event.notify", "ok"),
        ("event.cancel", "ok"),
    ]
    changed = (await api(ana, "GET", "/api/users/me/audit")).json()["items"][2]
    assert changed["details"] == {"fields": ["location"]}
    assert (changed["object_type"], changed["event_id"]) == ("event", event_id)
    assert changed["client"] == "127.0.0.1"


async def test_an_event_shows_its_organizers_everything_but_where_others_were(site: Site) -> None:
    ana, ben = await site.member("ana"), await site.member("ben")
    event_id = await event_of(ana)
    await api(ben, "POST", f"/api/events/{event_id}/subscribe", integration_ids=[])
    await api(site.visitor(), "POST", f"/api/events/{event_id}/subscribe", email="eve@example.org")
    await api(ben, "DELETE", f"/api/events/{event_id}/subscribe")
    answer = await api(ana, "GET", f"/api/events/{event_id}/audit")
    entries = list(reversed(answer.json()["items"]))
    assert [one["action"] for one in entries] == [
        "event.create",
        "subscription.start",
        "subscription.start",
        "subscription.end",
    ]
    ben_id = (await site.user("ben")).id
    assert [one["actor_user_id"] for one in entries[1:]] == [ben_id, None, ben_id]
    assert [one["client"] for one in entries] == ["127.0.0.1", None, None, None]
    assert "example.org" not in answer.text
    for stranger, status in ((ben, 403), (site.visitor(), 401)):
        assert (await api(stranger, "GET", f"/api/events/{event_id}/audit")).status_code == status


async def test_channels(site: Site) -> None:
    ana = await site.member("ana")
    channel = {"name": "Chat", "apprise_url": "json://127.0.0.1:9/a", "tag": "x", "verify": False}
    made = (await api(ana, "POST", "/api/integrations", **channel)).json()
    path = f"/api/integrations/{made['id']}"
    await api(ana, "PATCH", path, name="Talk")
    await api(ana, "POST", f"{path}/test")
    await api(ana, "DELETE", path)
    assert await own(ana) == [
        ("integration.create", "ok"),
        ("integration.update", "ok"),
        ("integration.test", "failed"),
        ("integration.delete", "ok"),
    ]


async def test_signing_in_and_out(site: Site) -> None:
    ana = await site.member("ana")
    await api(ana, "PATCH", "/api/users/me", password=PASSWORD)
    address = "ana@example.org"
    again = site.visitor()
    for word in ("wrong horse battery", PASSWORD):
        await api(again, "POST", "/api/auth/login", email=address, password=word)
    await api(site.visitor(), "POST", "/api/auth/login", email="no@example.org", password=PASSWORD)
    assert await own(again) == [
        ("user.password", "ok"),
        ("session.end", "ok"),
        ("session.start", "failed"),
        ("session.start", "ok"),
    ]
    await api(again, "POST", "/api/auth/logout")
    entries = await site.rows(AuditEntry)
    assert [entry.action for entry in entries[-2:]] == ["session.start", "session.end"]
    assert entries[-2].actor_user_id is None
    assert entries[-2].details == {"by": "password"}


async def test_what_a_member_was_refused(site: Site) -> None:
    ana, ben = await site.member("ana"), await site.member("ben")
    event_id = await event_of(ana)
    await api(ben, "PATCH", f"/api/events/{event_id}", name="Mine")
    await api(ben, "DELETE", "/api/integrations/77")
    await api(ben, "GET", "/api/integrations/77")
    await api(site.visitor(), "DELETE", f"/api/events/{event_id}")
    assert await own(ben) == [("request.refused", "denied"), ("request.refused", "denied")]
    refused = (await api(ana, "GET", f"/api/events/{event_id}/audit")).json()["items"][0]
    assert refused["details"] == {
        "method": "PATCH",
        "route": "/api/events/{event_id}",
        "status": 403,
    }


async def test_entries_come_in_pages(site: Site) -> None:
    ana = await site.member("ana")
    for _ in range(3):
        await event_of(ana)
    first = (await api(ana, "GET", "/api/users/me/audit?limit=2")).json()
    rest = (await api(ana, "GET", f"/api/users/me/audit?cursor={first['next_cursor']}")).json()
    ids = [one["object_id"] for page in (first, rest) for one in page["items"]]
    assert ids == [3, 2, 1]
    assert rest["next_cursor"] is None


async def test_pages_leave_the_same_entries(site: Site) -> None:
    ana = await site.member("ana")
    event_id, _ = await ana.create_event(start_date=local_in(days=3))
    await ana.post(f"/events/{event_id}/cancel")
    assert await own(ana) == [("event.create", "ok"), ("event.cancel", "ok")]


async def test_what_a_program_does_names_its_token(site: Site) -> None:
    ana = await site.member("ana")
    made = (await api(ana, "POST", "/api/users/me/tokens", name="Bot", scope="write")).json()
    program = {"authorization": f"Bearer {made['token']}"}
    body = {"name": "Tea", "start_date": in_hours(48)}
    await site.visitor().client.post("/api/events", json=body, headers=program)
    await api(ana, "DELETE", f"/api/users/me/tokens/{made['id']}")
    entries = await site.rows(AuditEntry)
    assert [(entry.action, entry.details) for entry in entries] == [
        ("token.create", {"scope": "write"}),
        ("event.create", {"token_id": made["id"]}),
        ("token.revoke", None),
    ]
