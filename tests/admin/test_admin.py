"""Administration over the API: found, cancelled, deactivated, counted; 404 to everybody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from soonish.domain.accounts import sessions
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.web.site import Site, Visitor, text_of

pytestmark = pytest.mark.usefixtures("database")
READS = (
    "/api/admin/users",
    "/api/admin/users/1",
    "/api/admin/events",
    "/api/admin/integrations",
    "/api/admin/deliveries",
    "/api/admin/audit",
)
PAGES = ("/admin", "/admin/users", "/admin/events", "/admin/integrations", "/admin/audit")


async def administrator(site: Site) -> Visitor:
    boss = await site.member("boss")
    me = (await site.user("boss")).id
    async with site.runtime.db.write() as session:
        await session.execute(update(User).where(User.id == me).values(is_admin=True))
    return boss


async def answer(visitor: Visitor, path: str) -> Any:
    got = await visitor.client.get(path)
    assert got.status_code == 200, got.text
    return got.json()


async def post(visitor: Visitor, path: str) -> Any:
    headers = {"sec-fetch-site": "same-origin"}
    return await visitor.client.post(path, headers=headers)


@pytest.mark.parametrize("path", READS + PAGES)
async def test_nothing_of_it_exists_for_others(site: Site, path: str) -> None:
    for somebody in (site.visitor(), await site.member("ana")):
        assert (await somebody.client.get(path)).status_code == 404
    assert (await (await administrator(site)).client.get(path)).status_code == 200


async def test_changes_do_not_exist_for_others_either(site: Site) -> None:
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    eve = await site.member("eve")
    for path in ("users/1/deactivate", "users/1/reactivate", f"events/{event_id}/cancel"):
        assert (await post(eve, f"/api/admin/{path}")).status_code == 404
        assert (await post(eve, f"/admin/{path}")).status_code == 404
    (event,) = await site.rows(Event)
    assert event.cancelled_at is None


async def test_users_are_found_by_name_or_whole_address_and_shown_masked(site: Site) -> None:
    boss = await administrator(site)
    ana = await site.member("ana")
    await ana.create_event()
    for query in ("an", "ana@example.org", "ANA@example.org"):
        (found,) = (await answer(boss, f"/api/admin/users?query={query}"))["items"]
        assert (found["name"], found["address"]) == ("Ana", "a***@e***.org")
        assert (found["events"], found["subscriptions"], found["is_admin"]) == (1, 0, False)
    assert (await answer(boss, "/api/admin/users?query=na@example.org"))["items"] == []
    page = await boss.get("/admin/users?query=ana")
    assert "a***@e***.org" in page.text
    assert "ana@example.org" not in page.text.replace('value="ana@example.org"', "")


async def test_lists_are_paged(site: Site) -> None:
    boss = await administrator(site)
    for name in ("ana", "bo", "cy"):
        await site.member(name)
    first = await answer(boss, "/api/admin/users?limit=3")
    rest = await answer(boss, f"/api/admin/users?limit=3&cursor={first['next_cursor']}")
    names = [item["name"] for item in first["items"] + rest["items"]]
    assert names == ["Cy", "Bo", "Ana", "Boss"]
    assert rest["next_cursor"] is None


async def test_a_deactivated_user_is_signed_out_until_let_in_again(site: Site) -> None:
    boss, ana = await administrator(site), await site.member("ana")
    user = await site.user("ana")
    done = await post(boss, f"/api/admin/users/{user.id}/deactivate")
    assert done.status_code == 200
    assert done.json()["deactivated_at"]
    assert (await ana.client.get("/api/users/me")).status_code == 401
    async with site.runtime.db.write() as session:
        _, token = await sessions.start(session, site.runtime.settings, user.id, None)
    ana.client.cookies.set("soonish_session", token)
    assert (await ana.client.get("/api/users/me")).status_code == 401
    again = await post(boss, f"/api/admin/users/{user.id}/deactivate")
    assert again.json()["deactivated_at"] == done.json()["deactivated_at"]
    back = await post(boss, f"/api/admin/users/{user.id}/reactivate")
    assert back.json()["deactivated_at"] is None
    assert (await ana.client.get("/api/users/me")).status_code == 200
    entries = await site.rows(AuditEntry, AuditEntry.object_id == user.id)
    actions = [(e.action, e.actor_user_id) for e in entries if e.action.startswith("user.")]
    me = (await site.user("boss")).id
    assert actions == [("user.deactivate", me), ("user.reactivate", me)]


async def test_nobody_locks_themselves_out(site: Site) -> None:
    boss = await administrator(site)
    me = (await site.user("boss")).id
    refused = await post(boss, f"/api/admin/users/{me}/deactivate")
    assert (refused.status_code, refused.json()["code"]) == (409, "own_account")
    page = await boss.post(f"/admin/users/{me}/deactivate")
    assert page.status_code == 409
    assert "cannot deactivate yourself" in text_of(page)
    assert (await post(boss, "/api/admin/users/999/deactivate")).status_code == 404


async def test_any_event_is_found_and_cancelled_with_notice(site: Site) -> None:
    boss, ana = await administrator(site), await site.member("ana")
    event_id, _ = await ana.create_event(name="Secret picnic", is_public="0")
    (found,) = (await answer(boss, "/api/admin/events?query=picnic+secret"))["items"]
    assert (found["id"], found["is_public"]) == (event_id, False)
    for _ in range(2):
        cancelled = await post(boss, f"/api/admin/events/{event_id}/cancel")
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    told = await site.rows(OutboxRow, OutboxRow.kind == "cancel_event")
    assert len(told) == 1
    (entry,) = await site.rows(AuditEntry, AuditEntry.action == "event.cancel")
    assert (entry.event_id, entry.actor_user_id) == (event_id, (await site.user("boss")).id)
    assert (await post(boss, "/api/admin/events/999/cancel")).status_code == 404


async def test_subscribers_of_any_event_masked_and_changed_in_bulk(site: Site) -> None:
    boss, ana = await administrator(site), await site.member("ana")
    event_id, slug = await ana.create_event()
    await site.visitor().post(f"/e/{slug}/subscribe", email="bo@example.org")
    path = f"/api/admin/events/{event_id}/subscriptions"
    (bo,) = (await answer(boss, path))["items"]
    assert bo["address"] == "b***@e***.org"
    assert (await answer(boss, f"{path}?query=bo@example.org"))["items"] == [bo]
    headers = {"sec-fetch-site": "same-origin"}
    body = {"action": "remove", "ids": [bo["id"], 999]}
    done = await boss.client.post(f"{path}/bulk", json=body, headers=headers)
    assert [one["outcome"] for one in done.json()["results"]] == ["removed", "not_found"]
    headers["content-type"] = "text/csv"
    added = await boss.client.post(
        f"{path}/bulk?action=add", content="email\ncy@example.org\nnobody\n", headers=headers
    )
    assert [one["outcome"] for one in added.json()["results"]] == ["asked", "invalid"]
    (waiting,) = await site.rows(Subscription, Subscription.ended_at.is_(None))
    assert waiting.status == "pending_confirmation"
    (entry, _) = await site.rows(AuditEntry, AuditEntry.action == "subscription.bulk")
    assert entry.actor_user_id == (await site.user("boss")).id
    eve = await site.member("eve")
    assert (await eve.client.get(path)).status_code == 404
    for who in (eve, ana):
        refused = await who.client.post(f"{path}/bulk", json=body, headers={})
        assert refused.status_code == 404
    assert (await boss.client.get("/api/admin/events/999/subscriptions")).status_code == 404


async def channel(site: Site, name: str, **values: Any) -> None:
    user = await site.user("ana")
    row = Integration(
        user_id=user.id, name=name, tag="t", kind="json", target="hooks.example.org",
        apprise_url=f"json://hooks.example.org/secret-{name}", url_fingerprint=name * 8, **values,
    )  # fmt: skip
    async with site.runtime.db.write() as session:
        session.add(row)


async def test_the_health_of_channels_without_their_urls(site: Site) -> None:
    boss, now = await administrator(site), utc_now()
    await channel(site, "good")
    await channel(site, "off", is_active=False, failing_since=now)
    await channel(site, "failing", failing_since=now, open_until=now - timedelta(seconds=1))
    await channel(site, "open", failing_since=now, open_until=now + timedelta(hours=1))
    await channel(site, "gone", deleted_at=now)
    everything = await boss.client.get("/api/admin/integrations")
    assert [one["health"] for one in everything.json()["items"]] == [
        "open", "failing", "off", "working",
    ]  # fmt: skip
    assert "secret" not in everything.text
    for health in ("open", "failing", "off", "working"):
        (one,) = (await answer(boss, f"/api/admin/integrations?health={health}"))["items"]
        assert one["health"] == health
    assert (await answer(boss, "/api/admin/integrations?kind=ntfy"))["items"] == []
    overview = await boss.get("/admin")
    assert overview.text.count("hooks.example.org") == 2


async def delivery(site: Site, event_id: int, number: int, state: str, **values: Any) -> None:
    user = await site.user(f"person{number}")
    async with site.runtime.db.write() as session:
        row = Notification(event_id=event_id, kind="manual", dedup_key=f"k{number}")
        session.add(row)
        await session.flush()
        session.add(
            Delivery(
                notification_id=row.id, user_id=user.id, target_key="mail", state=state, **values
            )
        )


async def test_analytics_count_and_time_what_was_delivered(site: Site) -> None:
    boss, ana = await administrator(site), await site.member("ana")
    event_id, _ = await ana.create_event()
    now = utc_now()
    assert (await answer(boss, "/api/admin/deliveries"))["success_rate"] is None
    for number, seconds in enumerate((1, 2, 3, 40)):
        made = now - timedelta(hours=1)
        done = {"created_at": made, "finished_at": made + timedelta(seconds=seconds)}
        await delivery(site, event_id, number, "sent", outcome="ok", **done)
    await delivery(site, event_id, 5, "failed", outcome="rejected", created_at=now)
    await delivery(site, event_id, 6, "suppressed", outcome="unsubscribed", created_at=now)
    old = now - timedelta(days=8)
    await delivery(site, event_id, 7, "failed", outcome="timeout", created_at=old)
    week = await answer(boss, "/api/admin/deliveries?days=7")
    assert week["counts"] == {"sent": 4, "failed": 1, "suppressed": 1}
    assert week["success_rate"] == pytest.approx(0.8)
    assert week["latency_seconds"] == {"median": 2.0, "p95": 3.0}
    assert [one["kind"] for one in week["by_kind"]] == ["mail"]
    (failure,) = week["failures"]
    assert (failure["outcome"], failure["count"]) == ("rejected", 1)
    assert failure["day"] == now.date().isoformat()
    month = await answer(boss, "/api/admin/deliveries?days=30")
    assert month["counts"]["failed"] == 2
    assert len(month["by_day"]) >= 2
    assert "80%" in text_of(await boss.get("/admin"))


async def test_the_audit_log_of_all_of_a_user_and_of_an_event(site: Site) -> None:
    boss, ana = await administrator(site), await site.member("ana")
    event_id, _ = await ana.create_event()
    everything = (await answer(boss, "/api/admin/audit"))["items"]
    assert "event.create" in {entry["action"] for entry in everything}
    of_event = (await answer(boss, f"/api/admin/audit?event_id={event_id}"))["items"]
    assert {entry["event_id"] for entry in of_event} == {event_id}
    me = (await site.user("ana")).id
    of_ana = (await answer(boss, f"/api/admin/audit?user_id={me}"))["items"]
    assert {entry["actor_user_id"] for entry in of_ana} == {me}
    too_large = await boss.client.get(f"/api/admin/audit?event_id={2**64}")
    assert too_large.status_code == 422


async def test_the_pages_list_search_and_act(site: Site) -> None:
    boss, ana = await administrator(site), await site.member("ana")
    event_id, _ = await ana.create_event(name="Street fair")
    rows = await boss.get("/admin/events?query=fair", **{"hx-request": "true"})
    assert "<html" not in rows.text
    assert "Street fair" in rows.text
    done = await boss.follow(await boss.post(f"/admin/events/{event_id}/cancel"))
    assert "The event is cancelled" in text_of(done)
    user = await site.user("ana")
    done = await boss.follow(await boss.post(f"/admin/users/{user.id}/deactivate"))
    assert "Let in again" in text_of(done)
    await boss.follow(await boss.post(f"/admin/users/{user.id}/reactivate"))
    assert "event.cancel" in (await boss.get("/admin/audit")).text
    assert 'href="/admin"' in (await boss.get("/dashboard")).text
    assert 'href="/admin"' not in (await ana.get("/dashboard")).text
