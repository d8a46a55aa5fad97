"""Each limit as its client meets it: 429 with what to do, the header fields, and nothing leaked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import httpx2
import pytest
from sqlalchemy import ColumnElement

from soonish.config import Settings
from soonish.domain.accounts import access_tokens, sessions
from soonish.infra.db.models.accounts import Registration, User
from soonish.infra.db.models.events import Event, Invitation
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database
from soonish.infra.rate_limits.limits import DAILY_RECIPIENTS
from soonish.ops import health
from soonish.runtime import make_runtime
from soonish.worker.advance import Advance
from tests.support.ports import free_port
from tests.web.site import Site, Visitor, text_of

ADDRESS = "ada@example.org"
DAY = {"start_date": "2099-01-01T00:00:00Z"}


@pytest.fixture
async def site(settings: Settings, database: Database) -> AsyncGenerator[Site]:
    settings.rate_limits_enabled = True
    made = Site(settings)
    yield made
    await made.close()


async def bearer(site: Site, name: str) -> dict[str, str]:
    """An Authorization header with an access token of a session of its own."""
    user = await site.user(name)
    async with site.runtime.db.write() as session:
        row, _ = await sessions.start(session, site.runtime.settings, user.id, None)
    return {"authorization": f"Bearer {access_tokens.issue(site.runtime.settings, row).token}"}


async def test_the_api_takes_100_requests_a_minute_of_a_user_however_signed_in(site: Site) -> None:
    browser, other = await site.member("anna"), await site.member("bert")
    token = await bearer(site, "anna")
    for number in range(100):
        headers = token if number % 2 else {}
        client = site.visitor().client if headers else browser.client
        answer = await client.get("/api/users/me", headers=headers)
        assert answer.status_code == 200
    assert answer.headers["ratelimit-policy"] == '"api";q=100;w=60'
    assert answer.headers["ratelimit"].startswith('"api";r=0;t=')
    for client, headers in ((browser.client, {}), (site.visitor().client, token)):
        refused = await client.get("/api/users/me", headers=headers)
        assert_refused(refused, "api", 60)
    assert (await browser.get("/dashboard")).status_code == 200
    assert (await other.client.get("/api/users/me")).status_code == 200


def assert_refused(answer: httpx2.Response, name: str, seconds: int) -> None:
    assert answer.status_code == 429, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == ("too_many_requests", 429)
    wait = int(answer.headers["retry-after"])
    assert 0 < wait <= seconds
    assert f'"{name}";r=0;t={wait}' in answer.headers["ratelimit"]
    assert f'"{name}";q=' in answer.headers["ratelimit-policy"]


async def test_nobody_is_told_of_limits_that_were_not_met(site: Site) -> None:
    answer = await site.visitor().client.get("/api/events")
    assert "ratelimit" not in answer.headers


async def new_event(site: Site, owner: Visitor, **fields: str) -> int:
    made = await owner.client.post("/api/events", json={"name": "Picnic", **DAY, **fields})
    assert made.status_code == 201, made.text
    return made.json()["id"]


async def subscribe(visitor: Visitor, event_id: int, address: str) -> httpx2.Response:
    path = f"/api/events/{event_id}/subscribe"
    return await visitor.client.post(path, json={"email": address})


async def test_a_network_subscribes_20_addresses_an_hour(site: Site) -> None:
    owner = await site.member("olga")
    event_id = await new_event(site, owner)
    for number in range(20):
        assert (await subscribe(site.visitor(), event_id, f"p{number}@a.org")).status_code == 201
    assert_refused(await subscribe(site.visitor(), event_id, "late@a.org"), "subscribe", 3600)
    assert not await site.rows(User, User.email_fingerprint.is_(None))
    elsewhere = site.visitor(address="192.0.2.7")
    assert (await subscribe(elsewhere, event_id, "late@a.org")).status_code == 201
    [event] = await site.rows(Event)
    page = await site.visitor().post(f"/e/{event.slug}/subscribe", email="later@a.org")
    assert page.status_code == 429
    assert "Too many subscriptions from your network. Please try again in" in text_of(page)


async def test_a_network_of_version_6_is_one_client(site: Site) -> None:
    owner = await site.member("olga")
    event_id = await new_event(site, owner)
    for number in range(20):
        visitor = site.visitor(address=f"2001:db8:1:2::{number:x}")
        assert (await subscribe(visitor, event_id, f"p{number}@a.org")).status_code == 201
    same = site.visitor(address="2001:db8:1:2:ffff::1")
    assert (await subscribe(same, event_id, "late@a.org")).status_code == 429
    other = site.visitor(address="2001:db8:1:3::1")
    assert (await subscribe(other, event_id, "late@a.org")).status_code == 201


async def test_a_header_that_no_trusted_proxy_wrote_makes_no_other_client(site: Site) -> None:
    owner = await site.member("olga")
    event_id = await new_event(site, owner)
    path = f"/api/events/{event_id}/subscribe"
    for number in range(21):
        forged = {"x-forwarded-for": f"203.0.113.{number}", "forwarded": f"for=203.0.113.{number}"}
        body = {"email": f"p{number}@a.org"}
        answer = await site.visitor().client.post(path, json=body, headers=forged)
    assert answer.status_code == 429


async def test_an_address_gets_five_mails_an_hour_however_many_ask(site: Site) -> None:
    """Over all routes: the sixth is as good as the others, and causes nothing."""
    owner = await site.member("olga")
    ids = [await new_event(site, owner) for _ in range(2)]
    register = {"email": ADDRESS, "password": "correct horse battery"}
    asks = [
        ("/api/auth/register", register),
        (f"/api/events/{ids[0]}/subscribe", {"email": ADDRESS}),
        ("/api/auth/magic-link", {"email": ADDRESS}),
        ("/api/auth/magic-link", {"email": ADDRESS.upper()}),
        ("/api/auth/register", register),
    ]
    for number, (path, body) in enumerate(asks):
        await ask_from(site, number, path, body)
    before = await mails(site)
    assert before == (2, 2)
    async with site.runtime.db.write() as session:
        user = await session.get_one(User, (await site.rows(User, other_than("olga")))[0].id)
        user.is_verified = True
    for path, body, status in (
        ("/api/auth/register", register, 202),
        ("/api/auth/magic-link", {"email": ADDRESS}, 202),
        ("/api/auth/password/forgot", {"email": ADDRESS}, 202),
        (f"/api/events/{ids[0]}/subscribe", {"email": ADDRESS}, 201),
        (f"/api/events/{ids[1]}/subscribe", {"email": ADDRESS}, 201),
    ):
        answer = await ask_from(site, 50, path, body)
        assert answer.status_code == status
        assert "mail" not in answer.headers.get("ratelimit", "")
    for path in ("/register", "/magic-link", "/forgot"):
        page = await site.visitor().post(path, email=ADDRESS)
        assert (page.status_code, "Look at your mail" in text_of(page)) == (200, True)
    assert await mails(site) == before
    assert await welcomes(site, ids) == [("pending", None), ("suppressed", "rate_limited")]
    another = await ask_from(site, 51, "/api/auth/register", {"email": "other@example.org"})
    assert (another.status_code, await mails(site)) == (202, (3, 2))


def other_than(name: str) -> ColumnElement[bool]:
    return User.name.is_distinct_from(name.title())


async def ask_from(site: Site, number: int, path: str, body: dict[str, str]) -> httpx2.Response:
    client = site.visitor(address=f"192.0.2.{number}").client
    answer = await client.post(path, json=body)
    assert answer.status_code in (201, 202), answer.text
    return answer


async def mails(site: Site) -> tuple[int, int]:
    """How many registrations (each is a mail of its workflow) and account mails there are."""
    account = await site.rows(Notification, Notification.event_id.is_(None))
    return len(await site.rows(Registration)), len(account)


async def welcomes(site: Site, event_ids: list[int]) -> list[tuple[str, str | None]]:
    """State and outcome of the welcome of each event's subscriber."""
    found: list[tuple[str, str | None]] = []
    for event_id in event_ids:
        async with site.runtime.db.write() as session:
            event = await session.get_one(Event, event_id)
            now = event.created_at
            await Advance(session, event, site.runtime.settings, now).run([])
        [one] = await site.rows(Subscription, Subscription.event_id == event_id)
        rows = await site.rows(Delivery, Delivery.subscription_id == one.id)
        found += [(row.state, row.outcome) for row in rows]
    return found


async def test_floods_from_many_clients_at_once_get_five_through(site: Site) -> None:
    body = {"email": ADDRESS}
    asks = (ask_from(site, number, "/api/auth/register", body) for number in range(30))
    answers = await asyncio.gather(*asks)
    assert len({(one.status_code, one.text) for one in answers}) == 1
    assert (await mails(site))[0] == 5


async def test_a_confirmation_beyond_the_limit_is_in_the_ledger_and_not_sent(site: Site) -> None:
    site.runtime.settings.anonymous_opt_in = "double"
    owner = await site.member("olga")
    for number in range(6):
        event_id = await new_event(site, owner)
        visitor = site.visitor(address=f"192.0.2.{number}")
        for _ in range(2):  # the second causes no mail, and counts as none
            answer = await subscribe(visitor, event_id, ADDRESS)
            assert (answer.status_code, answer.json()) == (201, {"status": "accepted"})
    rows = sorted(await site.rows(Delivery), key=lambda row: row.id)
    assert [row.state for row in rows] == ["pending"] * 5 + ["suppressed"]
    assert (rows[-1].outcome, rows[-1].finished_at is None) == ("rate_limited", False)


async def test_an_event_sends_30_messages_an_hour_whoever_else_tries(site: Site) -> None:
    owner, outsider = await site.member("olga"), await site.member("otto")
    event_id = await new_event(site, owner)
    path, body = f"/api/events/{event_id}/notify", {"title": "Hi", "body": "There"}
    for _ in range(40):
        assert (await outsider.client.post(path, json=body)).status_code == 403
    for _ in range(30):
        assert (await owner.client.post(path, json=body)).status_code == 202
    assert_refused(await owner.client.post(path, json=body), "notify", 3600)
    page = await owner.post(f"/events/{event_id}/notify", title="Hi", body="There")
    assert page.status_code == 429
    assert "You sent too many messages about this event." in text_of(page)
    other = await new_event(site, owner)
    assert (await owner.client.post(f"/api/events/{other}/notify", json=body)).status_code == 202


async def test_an_account_takes_ten_wrong_passwords_an_hour_from_everywhere(site: Site) -> None:
    for name in ("known@example.org", "unknown@example.org", "KNOWN@example.org"):
        await site.user(name.partition("@")[0].lower()) if "unknown" not in name else None
    for address in ("known@example.org", "unknown@example.org"):
        body = {"email": address, "password": "wrong"}
        statuses = [
            (await site.visitor(address=f"192.0.2.{n}").client.post("/api/auth/login", json=body))
            for n in range(11)
        ]
        assert [one.status_code for one in statuses] == [401] * 10 + [429]
        assert "login-address" not in statuses[-1].headers["ratelimit"]
        assert int(statuses[-1].headers["retry-after"]) > 900


async def test_a_page_says_when_to_try_again(site: Site) -> None:
    for _ in range(6):
        answer = await site.visitor().post("/login", email=ADDRESS, password="wrong")
    assert answer.status_code == 429
    assert "Too many wrong passwords. Please try again in 15 min." in text_of(answer)
    assert answer.headers["retry-after"]


async def test_redis_is_a_part_of_health_where_it_is_used(site: Site) -> None:
    assert "limits" not in (await health.check_health(site.runtime)).parts
    gone = {"redis_url": f"redis://127.0.0.1:{free_port()}"}
    runtime = make_runtime(site.runtime.settings.model_copy(update=gone))
    part = (await health.check_health(runtime)).parts["limits"]
    assert (part.ok, part.detail) == (False, "Redis does not answer: each process counts by itself")
    await runtime.close(0)


async def test_somebody_signed_in_mails_nobody_more_than_five_times_an_hour(site: Site) -> None:
    """Whatever they think of, and however they spell the address; they are not told."""
    owner = await site.member("olga")
    for number in range(4):
        event = f"/api/events/{await new_event(site, owner)}"
        address = ADDRESS.replace("@", f"+{number}@") if number % 2 else ADDRESS.upper()
        made = await owner.client.post(f"{event}/organizers", json={"email": address})
        assert made.status_code == 201
        invited = await owner.client.post(f"{event}/invitations", json={"emails": [address]})
        assert invited.status_code == 201
        rows = {"action": "add", "emails": [address]}
        asked = await owner.client.post(f"{event}/subscriptions/bulk", json=rows)
        assert [one["outcome"] for one in asked.json()["results"]] == ["asked"]
    mails = await site.rows(Delivery, Delivery.subscription_id.is_(None))
    told = [one.outcome for one in mails]
    assert (told.count(None), told.count("rate_limited")) == (5, 7)


async def test_the_mails_of_others_cost_nobody_the_link_to_sign_in(site: Site) -> None:
    owner = await site.member("olga")
    for _ in range(6):
        event = f"/api/events/{await new_event(site, owner)}"
        await owner.client.post(f"{event}/invitations", json={"emails": [ADDRESS]})
    body = {"email": ADDRESS}
    assert (await site.visitor().client.post("/api/auth/magic-link", json=body)).status_code == 202
    links = Notification.kind == "magic_link"
    assert len(await site.rows(Notification, links)) == 1


async def test_somebody_signed_in_claims_an_address_five_times_an_hour(site: Site) -> None:
    browser = await site.member("olga")
    for _ in range(8):
        answer = await browser.client.patch("/api/users/me", json={"email": ADDRESS})
        assert answer.status_code == 200
    assert len(await site.rows(Registration)) == 5


async def test_an_account_writes_to_2000_addresses_a_day(site: Site) -> None:
    owner = await site.member("olga")
    event = f"/api/events/{await new_event(site, owner)}"
    limits, user = site.runtime.limits, await site.user("olga")
    assert (await limits.hit(DAILY_RECIPIENTS, str(user.id), 1999)).allowed
    body = {"emails": ["one@a.org", "ONE@a.org", "two@a.org"]}
    refused = await owner.client.post(f"{event}/invitations", json=body)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert not await site.rows(Invitation)
    assert (await owner.client.post(f"{event}/invitations", json={})).status_code == 201
    last = await owner.client.post(f"{event}/organizers", json={"email": "two@a.org"})
    assert last.status_code == 201
    late = await owner.client.patch("/api/users/me", json={"email": ADDRESS})
    assert_refused(late, "mail-from", 86_400)


async def test_nobody_finds_out_who_has_an_account_by_handing_over_events(site: Site) -> None:
    owner = await site.member("olga")
    transfer = f"/api/events/{await new_event(site, owner)}/transfer"
    for number in range(10):
        answer = await owner.client.post(transfer, json={"email": f"p{number}@a.org"})
        assert answer.json()["code"] == "not_an_account"
    await site.member("bert")
    for email in ("p11@a.org", "bert@example.org"):
        answer = await owner.client.post(transfer, json={"email": email})
        assert_refused(answer, "transfer", 3600)


async def test_the_organizers_page_has_the_same_limits(site: Site) -> None:
    owner = await site.member("olga")
    for _ in range(4):
        event = f"/events/{await new_event(site, owner)}"
        await owner.post(f"{event}/organizers", co_organizer=ADDRESS)
        await owner.post(f"{event}/invite", emails=ADDRESS)
        await owner.post(f"{event}/add", addresses=ADDRESS)
    told = [one.outcome for one in await site.rows(Delivery, Delivery.subscription_id.is_(None))]
    assert (told.count(None), told.count("rate_limited")) == (5, len(told) - 5)
    assert len(told) > 5
    for _ in range(10):
        await owner.post(f"{event}/transfer", new_owner="nobody@a.org")
    late = await owner.post(f"{event}/transfer", new_owner="nobody@a.org")
    assert "You tried to hand over too many events." in text_of(late)
