"""What people change about themselves: profile, password, address."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx2
import pytest
import time_machine
from sqlalchemy import update

from soonish.domain.subscriptions.confirmation import confirm
from soonish.domain.subscriptions.service import token_subject
from soonish.identity import tokens
from soonish.identity.signed_tokens import LinkClaims
from soonish.identity.tokens import Purpose
from soonish.infra.db.models.accounts import Registration, User
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.accounts.scene import OTHER_PASSWORD, PASSWORD, Scene

ADDRESS, NEW = "ada@example.com", "ada@new.example"


async def test_the_profile_is_what_the_contract_says(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    body = {"name": "Ada", "timezone": "Europe/Berlin", "locale": "pt_BR"}
    answer = await browser.patch("/api/users/me", json=body)
    assert answer.status_code == 200
    me = (await browser.get("/api/users/me")).json()
    assert me == answer.json()
    assert set(me) >= {"id", "email", "is_verified", "name", "timezone", "locale", "created_at"}
    assert (me["name"], me["timezone"], me["locale"]) == ("Ada", "Europe/Berlin", "pt-BR")
    assert me["created_at"].endswith("Z")
    cleared = await browser.patch("/api/users/me", json={"name": None, "timezone": None})
    assert (cleared.json()["name"], cleared.json()["timezone"]) == (None, None)
    assert cleared.json()["locale"] == "pt-BR"
    assert (await browser.patch("/api/users/me", json={})).json() == cleared.json()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"locale": "klingon"}, "locale"),
        ({"name": "x" * 201}, "name"),
        ({"email": "nobody"}, "email"),
        ({"email": None}, "email"),
        ({"password": "short"}, "password"),
        ({"password": None}, "password"),
        ({"password": OTHER_PASSWORD}, "current_password"),
        ({"password": OTHER_PASSWORD, "current_password": "wrong"}, "current_password"),
        ({"is_admin": True}, "is_admin"),
        ({"id": 5}, "id"),
    ],
)
async def test_wrong_input_names_its_field(
    scene: Scene, body: dict[str, object], field: str
) -> None:
    browser = await scene.account(ADDRESS)
    before = (await browser.get("/api/users/me")).json()
    answer = await browser.patch("/api/users/me", json=body)
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == [field]
    assert (await browser.get("/api/users/me")).json() == before


async def test_nobody_changes_anything_without_a_session(scene: Scene) -> None:
    assert (await scene.browser().patch("/api/users/me", json={})).status_code == 401
    assert (await scene.browser().get("/api/users/me")).status_code == 401


async def test_a_new_password_ends_every_session_and_gives_the_browser_another(
    scene: Scene,
) -> None:
    browser, other = await scene.account(ADDRESS), scene.browser()
    login = await other.post("/api/auth/login", json={"email": ADDRESS, "password": PASSWORD})
    bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
    before = browser.cookies["soonish_session"]
    body = {"password": OTHER_PASSWORD, "current_password": PASSWORD}
    assert (await browser.patch("/api/users/me", json=body)).status_code == 200
    assert browser.cookies["soonish_session"] != before
    assert (await browser.get("/api/users/me")).status_code == 200
    assert (await other.get("/api/users/me")).status_code == 401
    assert (await scene.browser().get("/api/users/me", headers=bearer)).status_code == 401
    for password, status in ((PASSWORD, 401), (OTHER_PASSWORD, 200)):
        body = {"email": ADDRESS, "password": password}
        assert (await other.post("/api/auth/login", json=body)).status_code == status


async def test_with_an_access_token_it_ends_too(scene: Scene) -> None:
    await scene.account(ADDRESS)
    client = scene.browser()
    form = {"username": ADDRESS, "password": PASSWORD}
    token = (await client.post("/api/auth/token", data=form)).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    body = {"password": OTHER_PASSWORD, "current_password": PASSWORD}
    answer = await client.patch("/api/users/me", json=body, headers=bearer)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert (await client.get("/api/users/me", headers=bearer)).status_code == 401


async def test_the_first_password_needs_no_other(scene: Scene) -> None:
    client = scene.browser()
    token = await scene.register(client, ADDRESS)
    made = await client.post("/api/auth/verify", json={"token": token})
    bearer = {"Authorization": f"Bearer {made.json()['access_token']}"}
    answer = await client.patch("/api/users/me", json={"password": PASSWORD}, headers=bearer)
    assert answer.json()["has_password"] is True
    assert (await client.get("/api/users/me", headers=bearer)).status_code == 200
    again = await client.patch("/api/users/me", json={"password": PASSWORD}, headers=bearer)
    assert again.status_code == 422


async def test_guessing_the_present_password_is_limited(scene: Scene) -> None:
    scene.settings.rate_limits_enabled = True
    browser = await scene.account(ADDRESS)
    body = {"password": OTHER_PASSWORD, "current_password": "wrong"}
    for _ in range(5):
        assert (await browser.patch("/api/users/me", json=body)).status_code == 422
    body["current_password"] = PASSWORD
    assert (await browser.patch("/api/users/me", json=body)).status_code == 429


async def test_a_new_address_counts_once_it_is_proven(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    token = await change_address(scene, browser)
    assert (await browser.get("/api/users/me")).json()["email"] == ADDRESS
    mail = (await scene.mails())[-1]
    assert mail.kind == "new_email"
    answer = await scene.browser().post("/api/auth/verify", json={"token": token})
    assert answer.json()["user"]["email"] == NEW
    assert (await browser.get("/api/users/me")).status_code == 401
    for address, status in ((ADDRESS, 401), (NEW, 200)):
        body = {"email": address, "password": PASSWORD}
        assert (await browser.post("/api/auth/login", json=body)).status_code == status
    again = await scene.browser().post("/api/auth/verify", json={"token": token})
    assert again.status_code == 410


async def test_the_old_address_is_told(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    token = await change_address(scene, browser)
    await scene.browser().post("/api/auth/verify", json={"token": token})
    old = await scene.user(ADDRESS)
    mail = (await scene.mails())[-1]
    assert old is not None
    assert not old.is_verified
    assert (mail.kind, mail.user_id) == ("email_changed", old.id)


async def test_what_was_mailed_to_the_old_address_opens_nothing(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    user = await scene.user(ADDRESS)
    assert user is not None
    magic = await scene.issue(Purpose.MAGIC_LINK, user.id)
    reset = await scene.issue(Purpose.PASSWORD_RESET, user.id)
    token = await change_address(scene, browser)
    await scene.browser().post("/api/auth/verify", json={"token": token})
    assert (await browser.post("/api/auth/verify", json={"token": magic})).status_code == 410
    body = {"token": reset, "password": OTHER_PASSWORD}
    assert (await browser.post("/api/auth/password/reset", json=body)).status_code == 410


async def test_an_address_with_an_account_is_not_taken_and_not_betrayed(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    await scene.account(NEW)
    taken = await browser.patch("/api/users/me", json={"email": NEW})
    free = await browser.patch("/api/users/me", json={"email": "free@example.com"})
    assert (taken.status_code, taken.json()) == (free.status_code, free.json())
    await scene.begin_verifications()
    kinds = {mail.user_id: mail.kind for mail in await scene.mails()}
    owner = await scene.user(NEW)
    assert owner is not None
    assert kinds[owner.id] != "new_email"


async def test_an_address_that_becomes_an_account_first_is_lost(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    token = await change_address(scene, browser)
    await scene.account(NEW)
    assert (await browser.post("/api/auth/verify", json={"token": token})).status_code == 410
    assert (await browser.get("/api/users/me")).json()["email"] == ADDRESS


async def test_only_the_last_wish_counts(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    first = await change_address(scene, browser)
    await browser.patch("/api/users/me", json={"email": "third@example.com"})
    assert (await browser.post("/api/auth/verify", json={"token": first})).status_code == 410
    same = await browser.patch("/api/users/me", json={"email": f" {ADDRESS.upper()} "})
    assert same.status_code == 200
    assert [row.completed_at is None for row in await scene.rows(Registration)] == [
        False,
        False,
        True,
    ]


async def test_subscriptions_of_both_become_one_accounts(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    ada, guest = await scene.user(ADDRESS), await scene.subscriber(NEW)
    assert ada is not None
    both, only_guest = await scene.event(ada.id), await scene.event(ada.id)
    async with scene.db.write() as session:
        kept = Subscription(event_id=both.id, user_id=ada.id)
        doubled = Subscription(event_id=both.id, user_id=guest.id)
        moved = Subscription(event_id=only_guest.id, user_id=guest.id)
        notice = Notification(event_id=only_guest.id, kind="welcome", dedup_key="w")
        session.add_all((kept, doubled, moved, notice))
        await session.flush()
        session.add(
            Delivery(
                notification_id=notice.id,
                user_id=guest.id,
                subscription_id=moved.id,
                target_key="mail",
            )
        )
    token = await change_address(scene, browser)
    answer = await scene.browser().post("/api/auth/verify", json={"token": token})
    assert answer.json()["user"]["id"] == ada.id
    rows = {row.id: row for row in await scene.rows(Subscription)}
    assert all(row.user_id == ada.id for row in rows.values())
    assert (rows[kept.id].ended_at, rows[moved.id].ended_at) == (None, None)
    assert rows[doubled.id].end_reason == "merged"
    deliveries = [d for d in await scene.rows(Delivery) if d.subscription_id == moved.id]
    assert [d.user_id for d in deliveries] == [ada.id]
    tombstone = next(u for u in await scene.rows(User) if u.id == guest.id)
    assert (tombstone.email, tombstone.merged_into_id) == (None, ada.id)
    async with scene.db.read() as session:
        claims = LinkClaims(only_guest.id, guest.id, epoch=0, issued_at=utc_now())
        event, user = await token_subject(session, claims)
    assert (event.id, user.id) == (only_guest.id, ada.id), "links in old mails still work"


async def test_of_two_subscriptions_the_unconfirmed_one_ends(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    ada, guest = await scene.user(ADDRESS), await scene.subscriber(NEW)
    assert ada is not None
    made: dict[str, tuple[Subscription, Subscription]] = {}
    waiting = "pending_confirmation"
    for name, own, theirs in (
        ("own", waiting, "active"),
        ("theirs", "active", waiting),
        ("both", waiting, waiting),
    ):
        event = await scene.event(ada.id)
        pair = (
            Subscription(event_id=event.id, user_id=ada.id, status=own),
            Subscription(event_id=event.id, user_id=guest.id, status=theirs),
        )
        async with scene.db.write() as session:
            session.add_all(pair)
        made[name] = pair
    alone = await scene.event(ada.id)
    async with scene.db.write() as session:
        moved = Subscription(event_id=alone.id, user_id=guest.id, status=waiting)
        session.add(moved)
        await session.flush()
        confirms = await tokens.issue(
            session, "confirm_subscription", guest.id, subscription_id=moved.id
        )
    token = await change_address(scene, browser)
    assert (await browser.post("/api/auth/verify", json={"token": token})).status_code == 200
    rows = {row.id: row for row in await scene.rows(Subscription)}
    ended = {
        name: [rows[own.id].end_reason, rows[theirs.id].end_reason]
        for name, (own, theirs) in made.items()
    }
    assert ended == {
        "own": ["merged", None],
        "theirs": [None, "merged"],
        "both": [None, "merged"],
    }
    async with scene.db.write() as session:
        await confirm(session, confirms, alone.start_date - timedelta(hours=1))
    (row,) = [row for row in await scene.rows(Subscription) if row.id == moved.id]
    assert (row.user_id, row.status) == (ada.id, "active")


async def test_two_accounts_after_one_address_one_gets_it(scene: Scene) -> None:
    one, two = await scene.account(ADDRESS), await scene.account("eve@example.com")
    tokens = [await change_address(scene, browser) for browser in (one, two)]
    answers = await asyncio.gather(
        *(scene.browser().post("/api/auth/verify", json={"token": token}) for token in tokens)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 410]
    owners = [u for u in await scene.rows(User) if u.email == NEW]
    assert len(owners) == 1


async def test_a_deactivated_claimant_gets_nothing(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    token = await change_address(scene, browser)
    async with scene.db.write() as session:
        await session.execute(update(User).where(User.is_verified).values(deactivated_at=utc_now()))
    assert (await browser.post("/api/auth/verify", json={"token": token})).status_code == 410


async def test_the_proof_must_come_within_7_days(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    token = await change_address(scene, browser)
    with time_machine.travel(utc_now() + timedelta(days=7, minutes=1)):
        answer = await browser.post("/api/auth/verify", json={"token": token})
        assert answer.status_code == 410


async def change_address(scene: Scene, browser: httpx2.AsyncClient) -> str:
    """Ask for NEW, and return the token that is mailed there."""
    answer = await browser.patch("/api/users/me", json={"email": NEW})
    assert answer.status_code == 200, answer.text
    await scene.begin_verifications()
    return await scene.last_token()


async def test_the_reader_of_a_mail_gives_nobody_an_account_in_his_name(scene: Scene) -> None:
    """Somebody claims a stranger's address, with a password of his own, and waits for a click."""
    await scene.subscriber(NEW)
    attacker = await scene.account(ADDRESS)
    token = await change_address(scene, attacker)
    stranger = await scene.account("somebody@example.com", OTHER_PASSWORD)
    for browser in (scene.browser(), stranger):
        page = await browser.get("/verify", params={"token": token})
        assert "Go on only if it is your account" in page.text
        for typed in ("", OTHER_PASSWORD):
            form = {"token": token, "password": typed}
            assert (await browser.post("/verify", data=form)).status_code == 422
    body = {"email": NEW, "password": PASSWORD}
    assert (await scene.browser().post("/api/auth/login", json=body)).status_code == 401
    assert (await attacker.get("/api/users/me")).json()["email"] == ADDRESS


async def test_whoever_has_the_account_confirms_on_the_page(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    token = await change_address(scene, browser)
    assert 'name="password"' not in (await browser.get(f"/verify?token={token}")).text
    assert (await browser.post("/verify", data={"token": token})).status_code == 303
    assert (await browser.get("/api/users/me")).json()["email"] == NEW


async def test_a_dead_link_says_so_before_anything_is_typed(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    token = await change_address(scene, browser)
    assert (await browser.post("/verify", data={"token": token})).status_code == 303
    html = {"accept": "text/html"}
    for path, again in ((f"/verify?token={token}", "/login"), ("/reset?token=none", "/forgot")):
        page = await browser.get(path, headers=html)
        assert (page.status_code, "<form" in page.text) == (410, False)
        assert f'href="{again}"' in page.text


async def test_on_another_device_the_password_confirms(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    token = await change_address(scene, browser)
    phone = scene.browser()
    assert 'name="password"' in (await phone.get(f"/verify?token={token}")).text
    form = {"token": token, "password": PASSWORD}
    assert (await phone.post("/verify", data=form)).status_code == 303
    assert (await phone.get("/api/users/me")).json()["email"] == NEW


async def test_an_account_without_a_password_moves_where_it_is_signed_in(scene: Scene) -> None:
    browser = await scene.account(ADDRESS, None)
    token = await change_address(scene, browser)
    elsewhere = await scene.browser().post("/verify", data={"token": token})
    assert elsewhere.status_code == 422
    assert "Sign in to your account in this browser first" in elsewhere.text
    assert (await browser.post("/verify", data={"token": token})).status_code == 303


async def test_guessing_on_the_page_of_a_claim_is_limited(scene: Scene) -> None:
    scene.settings.rate_limits_enabled = True
    token = await change_address(scene, await scene.account(ADDRESS))
    phone = scene.browser()
    form = {"token": token, "password": OTHER_PASSWORD}
    for _ in range(5):
        assert (await phone.post("/verify", data=form)).status_code == 422
    form["password"] = PASSWORD
    assert (await phone.post("/verify", data=form)).status_code == 429
