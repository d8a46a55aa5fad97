"""DELETE /api/users/me: nothing of the person is left, and nobody else loses anything."""

from __future__ import annotations

from datetime import timedelta

import pytest

from soonish.delivery.ledger import completion, ledger
from soonish.domain.events import service as events
from soonish.domain.events.schemas import EventCreate
from soonish.domain.privacy import erasure
from soonish.errors import Unauthorized
from soonish.infra.db.models.accounts import Session, User
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.notifications.delivering import Delivering
from tests.privacy.people import (
    MARK,
    PASSWORD,
    api,
    make_event,
    signed_in,
    whole_database,
    with_everything,
)
from tests.privacy.test_export import magic_link
from tests.support.api import instant
from tests.support.world import World
from tests.web.site import Site, text_of

ME = "/api/users/me"


async def erase(world: World, user_id: int) -> None:
    async with world.db.write() as session:
        await erasure.erase(session, user_id, utc_now())


async def test_nothing_of_the_person_is_left(site: Site, world: World) -> None:
    visitor, user_id = await with_everything(site, world)
    before = await whole_database(world.db)
    assert {name for name, text in before.items() if MARK in text} >= {
        *("users", "integrations", "events", "deliveries", "delivery_attempts", "api_tokens"),
        *("invitations", "oidc_identities", "registrations", "notifications", "event_updates"),
        "subscription_selectors",
    }
    answer = await api(visitor, "DELETE", ME, current_password=PASSWORD)
    assert answer.status_code == 204, answer.text
    after = await whole_database(world.db)
    others = after["users"].replace(f"{MARK}-other@example.com", "")
    found = {name: text for name, text in (after | {"users": others}).items() if MARK in text}
    assert found == {}
    [user] = await site.rows(User, User.id == user_id)
    assert user.erased_at is not None
    assert (user.email, user.name, user.password_hash, user.is_verified) == (None,) * 3 + (False,)
    entries = await site.rows(AuditEntry, AuditEntry.actor_user_id == user_id)
    assert entries[-1].action == "user.erase"
    assert {entry.client for entry in entries} == {None}


async def test_nobody_gets_in_any_more(site: Site, world: World) -> None:
    visitor, _ = await with_everything(site, world)
    elsewhere = await signed_in(site, world, f"{MARK}@example.org", None)
    await api(visitor, "DELETE", ME, current_password=PASSWORD)
    for browser in (visitor, elsewhere):
        assert (await api(browser, "GET", ME)).status_code == 401
    login = {"email": f"{MARK}@example.org", "password": PASSWORD}
    assert (await api(site.visitor(), "POST", "/api/auth/login", **login)).status_code == 401
    assert await site.rows(Session, Session.ended_at.is_(None)) == []


async def test_own_events_are_cancelled_and_those_who_came_are_told(
    site: Site, world: World, delivering: Delivering
) -> None:
    ana = await signed_in(site, world, "ana@example.org", PASSWORD)
    made = await make_event(ana, name="Ana's tea")
    await api(ana, "POST", f"/api/events/{made['id']}/subscribe", tags=[])
    over = await make_event(ana, name="Long ago")
    await world.change(Event, over["id"], start_date=utc_now() - timedelta(days=1))
    [event] = await site.rows(Event, Event.id == made["id"])
    await world.subscribe(event, await world.user("ben@example.com"))
    assert (await api(ana, "DELETE", ME, current_password=PASSWORD)).status_code == 204
    await world.advance(event)
    [past] = await site.rows(Event, Event.id == over["id"])
    assert past.cancelled_at is None
    for notification in await world.rows(Notification):
        await delivering.deliver(notification)
    [mail] = delivering.mail.mails
    assert mail.recipients == ["ben@example.com"]
    assert mail.message["Subject"] == "Ana's tea is cancelled"


async def test_other_events_lose_a_subscriber_and_nothing_is_sent(
    site: Site, world: World, delivering: Delivering
) -> None:
    event = await world.event()
    ana = await signed_in(site, world, "ana@example.org", PASSWORD)
    await api(ana, "POST", f"/api/events/{event.id}/subscribe", tags=[])
    await api(ana, "PUT", f"/api/events/{event.id}/reminders", offset_seconds=[600])
    await world.advance(event)
    await api(ana, "DELETE", ME, current_password=PASSWORD)
    plan = await world.advance(event)
    assert (plan.subscriber_count, plan.sync_reminders) == (0, True)
    [subscription] = await site.rows(Subscription)
    assert subscription.end_reason == "erased"
    [reminder] = await site.rows(Reminder, Reminder.subscription_id == subscription.id)
    assert reminder.removed_at is not None
    for notification in await world.rows(Notification, Notification.kind != "created"):
        await delivering.deliver(notification)
    assert delivering.mail.mails == []


async def test_no_farewell_or_creation_notice_is_written_for_someone_erased(
    site: Site, world: World
) -> None:
    event = await world.event()
    ana = await signed_in(site, world, "ana@example.org", PASSWORD)
    await make_event(ana)
    await api(ana, "POST", f"/api/events/{event.id}/subscribe", tags=[])
    await api(ana, "DELETE", f"/api/events/{event.id}/subscribe")
    await api(ana, "DELETE", ME, current_password=PASSWORD)
    for one in await world.rows(Event):
        await world.advance(one)
    assert {row.user_id for row in await world.rows(Delivery)} == {event.owner_user_id}


async def test_what_is_being_sent_leaves_its_worker(world: World) -> None:
    event = await world.event()
    subscription = await world.subscribe(event)
    notification = await world.expanded(event)
    async with world.db.write() as session:
        [row] = await ledger.claim(session, notification.id, "mine", limit=9, now=utc_now())
    await erase(world, subscription.user_id)
    async with world.db.write() as session:
        assert await ledger.still_sendable(session, [row.id], "mine", utc_now()) == set()
        assert await ledger.mark_sent(session, [row.id], "mine", utc_now()) == 0
    assert await world.states(notification.id) == [DeliveryState.SUPPRESSED]
    [kept] = await world.deliveries(notification.id)
    assert kept.target_key == f"erased:{kept.id}"


async def test_failed_messages_are_not_sent_again_to_nobody(
    world: World, delivering: Delivering
) -> None:
    event = await world.event()
    subscription = await world.subscribe(event)
    notification = await world.expanded(event)
    [row] = await world.deliveries(notification.id)
    await world.change(Delivery, row.id, state=DeliveryState.FAILED, outcome="rejected")
    await erase(world, subscription.user_id)
    async with world.db.write() as session:
        await completion.retry_failed(session, notification.id, utc_now())
    await delivering.deliver(notification)
    assert delivering.mail.mails == []
    assert await world.states(notification.id) == [DeliveryState.SUPPRESSED]


async def test_the_password_is_asked_for(site: Site, world: World) -> None:
    ana = await signed_in(site, world, "ana@example.org", PASSWORD)
    [row] = await site.rows(Session)
    await world.change(Session, row.id, created_at=utc_now() - timedelta(minutes=16))
    for body in ({}, {"current_password": ""}, {"current_password": "wrong horse battery"}):
        answer = await api(ana, "DELETE", ME, **body)
        assert answer.status_code == 422
        assert [e["field"] for e in answer.json()["errors"]] == ["current_password"]
    assert (await api(ana, "GET", ME)).status_code == 200


async def test_a_fresh_sign_in_stands_for_the_password_but_not_for_a_wrong_one(
    site: Site, world: World
) -> None:
    ana = await signed_in(site, world, "ana@example.org", PASSWORD)
    for wrong in ("", "wrong horse battery"):
        assert (await api(ana, "DELETE", ME, current_password=wrong)).status_code == 422
    assert (await api(ana, "DELETE", ME)).status_code == 204


async def test_the_page_asks_for_the_password_whatever_the_sign_in(
    site: Site, world: World
) -> None:
    ana = await signed_in(site, world, "ana@example.org", PASSWORD)
    page = await ana.post("/account/erase", current_password="")
    assert page.status_code == 422
    assert (await api(ana, "GET", ME)).status_code == 200


async def test_without_a_password_a_fresh_sign_in_is(site: Site, world: World) -> None:
    ana = await signed_in(site, world, "ana@example.org", None)
    [row] = await site.rows(Session)
    await world.change(Session, row.id, created_at=utc_now() - timedelta(minutes=16))
    answer = await api(ana, "DELETE", ME)
    assert (answer.status_code, answer.json()["code"]) == (403, "sign_in_again")
    await world.change(Session, row.id, created_at=utc_now() - timedelta(minutes=14))
    assert (await api(ana, "DELETE", ME)).status_code == 204


async def test_an_api_token_may_not(site: Site, world: World) -> None:
    ana = await signed_in(site, world, "ana@example.org", None)
    made = (await api(ana, "POST", "/api/users/me/tokens", name="Bot", scope="write")).json()
    program = {"authorization": f"Bearer {made['token']}"}
    answer = await site.visitor().client.delete(ME, headers=program)
    assert (answer.status_code, answer.json()["code"]) == (403, "session_required")


async def test_an_address_without_an_account_is_erased_over_its_mailed_link(
    site: Site, world: World
) -> None:
    event = await make_event(await site.member("ben"))
    path, body = f"/api/events/{event['id']}/subscribe", {"email": "eve@example.org"}
    browser = site.visitor()
    await api(browser, "POST", path, **body)
    first = await site.user("eve")
    await api(browser, "POST", "/api/auth/verify", token=await magic_link(site, "eve"))
    assert (await api(browser, "DELETE", ME)).status_code == 204
    entries = await site.rows(AuditEntry, AuditEntry.object_type == "subscription")
    assert {entry.client for entry in entries} == {None}
    await api(site.visitor(), "POST", path, **body)
    again = await site.user("eve")
    assert again.id != first.id
    [now] = await site.rows(Subscription, Subscription.ended_at.is_(None))
    assert now.user_id == again.id


async def test_workflows_are_told(site: Site, world: World) -> None:
    visitor, user_id = await with_everything(site, world)
    await api(visitor, "DELETE", ME, current_password=PASSWORD)
    told = {(row.stream.rsplit("-", 1)[0], row.kind) for row in await site.rows(OutboxRow)}
    assert ("session", "ended") in told
    verification = [kind for stream, kind in told if stream.startswith("user-verification-")]
    assert verification == ["verification_completed"]
    assert user_id


async def test_who_was_erased_meanwhile_makes_no_event(site: Site, world: World) -> None:
    user = await world.user("ana@example.com")
    await erase(world, user.id)
    data = EventCreate(name="Tea", start_date=instant(48))

    async def create() -> None:
        async with world.db.write() as session:
            await events.create(session, user, data, utc_now(), default_reminders=[])

    with pytest.raises(Unauthorized):
        await create()


async def test_the_page_asks_and_erases(site: Site, world: World) -> None:
    ana = await signed_in(site, world, "ana@example.org", PASSWORD)
    account = await ana.get("/account")
    assert 'href="/account/erase"' in account.text
    assert 'href="/api/users/me/export"' in account.text
    assert 'name="current_password"' in (await ana.get("/account/erase")).text
    wrong = await ana.post("/account/erase", current_password="no")
    assert wrong.status_code == 422
    assert 'id="current_password-error"' in wrong.text
    gone = await ana.post("/account/erase", current_password=PASSWORD)
    assert "Everything about you is erased" in text_of(await ana.follow(gone))
    assert (await site.rows(User, User.erased_at.is_(None))) == []
