"""Passwords, magic links, forgotten passwords: who gets in, and how often one may try."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import bcrypt
import httpx2
import pytest
import time_machine
from sqlalchemy import update

from soonish.identity.tokens import Purpose
from soonish.infra.db.models.accounts import Session, User
from soonish.infra.db.types import utc_now
from tests.accounts.scene import OTHER_PASSWORD, PASSWORD, Scene

ADDRESS = "ada@example.com"
LOGIN = {"email": ADDRESS, "password": PASSWORD}


async def test_login_answers_the_same_for_everything_wrong(scene: Scene) -> None:
    await scene.account(ADDRESS)
    await scene.account("no.password@example.com", None)
    await scene.subscriber("subscriber@example.com")
    await scene.register(scene.browser(), "unproven@example.com", PASSWORD)
    seen: set[tuple[int, str]] = set()
    for index, (address, password) in enumerate(
        (
            (ADDRESS, OTHER_PASSWORD),
            (ADDRESS, "short"),
            ("unknown@example.com", PASSWORD),
            ("no.password@example.com", PASSWORD),
            ("subscriber@example.com", PASSWORD),
            ("unproven@example.com", PASSWORD),
            ("no address", PASSWORD),
        )
    ):
        browser = scene.browser(address=f"192.0.2.{index + 10}")
        answer = await browser.post(
            "/api/auth/login", json={"email": address, "password": password}
        )
        assert "set-cookie" not in answer.headers
        seen.add((answer.status_code, answer.text))
    assert len(seen) == 1
    assert seen.pop()[0] == 401


async def test_the_password_form_of_oauth2(scene: Scene) -> None:
    await scene.account(ADDRESS)
    form = {"username": ADDRESS, "password": PASSWORD}
    answer = await scene.browser().post("/api/auth/token", data=form)
    assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
    assert "set-cookie" not in answer.headers
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    me = await scene.browser().get("/api/users/me", headers=bearer)
    assert me.json()["email"] == ADDRESS
    wrong = await scene.browser().post("/api/auth/token", data=form | {"password": "x"})
    assert wrong.status_code == 401


async def test_five_failures_from_an_address_and_it_has_to_wait(scene: Scene) -> None:
    scene.settings.rate_limits_enabled = True
    await scene.account(ADDRESS)
    wrong = LOGIN | {"password": OTHER_PASSWORD}
    with time_machine.travel(utc_now(), tick=False) as clock:
        for _ in range(5):
            assert (await scene.browser().post("/api/auth/login", json=wrong)).status_code == 401
            clock.shift(60)
        refused = await scene.browser().post("/api/auth/login", json=LOGIN)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "600"
        assert refused.headers["content-type"] == "application/problem+json"
        form = {"username": ADDRESS, "password": PASSWORD}
        assert (await scene.browser().post("/api/auth/token", data=form)).status_code == 429
        elsewhere = scene.browser(address="192.0.2.2")
        assert (await elsewhere.post("/api/auth/login", json=LOGIN)).status_code == 200
        clock.shift(600)
        assert (await scene.browser().post("/api/auth/login", json=LOGIN)).status_code == 200


async def test_guesses_sent_all_at_once_are_no_way_around(scene: Scene) -> None:
    scene.settings.rate_limits_enabled = True
    await scene.account(ADDRESS)
    guesses = [OTHER_PASSWORD] * 8 + [PASSWORD]
    answers = await asyncio.gather(*(attempt(scene, guess) for guess in guesses))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(401) == 5
    assert statuses.count(429) >= 3
    assert (await attempt(scene, PASSWORD)).status_code == 429


async def attempt(scene: Scene, password: str) -> httpx2.Response:
    return await scene.browser().post("/api/auth/login", json=LOGIN | {"password": password})


async def test_limits_can_be_switched_off(scene: Scene) -> None:
    scene.settings.rate_limits_enabled = False
    for _ in range(7):
        assert (await attempt(scene, "wrong")).status_code == 401


async def test_only_trusted_proxies_say_where_a_request_comes_from(scene: Scene) -> None:
    scene.settings.rate_limits_enabled = True
    scene.settings.trusted_proxies = ["10.0.0.0/8"]
    for number in range(5):
        forged = {"X-Forwarded-For": f"203.0.113.{number}"}
        answer = await scene.browser(**forged).post("/api/auth/login", json=LOGIN)
        assert answer.status_code == 401
    assert (await attempt(scene, "wrong")).status_code == 429
    behind = scene.browser(address="10.0.0.1", **{"X-Forwarded-For": "6.6.6.6, 192.0.2.1"})
    assert (await behind.post("/api/auth/login", json=LOGIN)).status_code == 429
    other = scene.browser(address="10.0.0.1", **{"X-Forwarded-For": "192.0.2.1, 192.0.2.9"})
    assert (await other.post("/api/auth/login", json=LOGIN)).status_code == 401


async def test_a_bcrypt_hash_is_upgraded_at_login(scene: Scene) -> None:
    await scene.account(ADDRESS, None)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    async with scene.db.write() as session:
        await session.execute(update(User).values(password_hash=hashed))
    for _ in range(2):
        assert (await attempt(scene, PASSWORD)).status_code == 200
        user = await scene.user(ADDRESS)
        assert user is not None
        assert (user.password_hash or "").startswith("$argon2id$")


@pytest.mark.parametrize("column", ["deactivated_at", "erased_at"])
async def test_a_deactivated_user_is_out(scene: Scene, column: str) -> None:
    browser = await scene.account(ADDRESS)
    user = await scene.user(ADDRESS)
    assert user is not None
    magic = await scene.issue(Purpose.MAGIC_LINK, user.id)
    reset = await scene.issue(Purpose.PASSWORD_RESET, user.id)
    async with scene.db.write() as session:
        await session.execute(update(User).values({column: utc_now()}))
    assert (await browser.get("/api/users/me")).status_code == 401
    assert (await attempt(scene, PASSWORD)).status_code == 401
    assert (await browser.post("/api/auth/verify", json={"token": magic})).status_code == 410
    body = {"token": reset, "password": OTHER_PASSWORD}
    assert (await browser.post("/api/auth/password/reset", json=body)).status_code == 410
    sent = len(await scene.mails())
    for path in ("magic-link", "password/forgot", "register"):
        answer = await browser.post(f"/api/auth/{path}", json={"email": ADDRESS})
        assert answer.status_code == 202
    await scene.begin_verifications()
    assert len(await scene.mails()) == sent


async def test_a_magic_link_signs_in_once_within_15_minutes(scene: Scene) -> None:
    await scene.account(ADDRESS)
    tokens = [await magic_link(scene, ADDRESS) for _ in range(2)]
    with time_machine.travel(utc_now() + timedelta(minutes=14)):
        answer = await scene.browser().post("/api/auth/verify", json={"token": tokens[0]})
        assert answer.status_code == 200
        assert answer.json()["password_needed"] is False
        again = await scene.browser().post("/api/auth/verify", json={"token": tokens[0]})
        assert again.status_code == 410
    with time_machine.travel(utc_now() + timedelta(minutes=16)):
        late = await scene.browser().post("/api/auth/verify", json={"token": tokens[1]})
        assert late.status_code == 410


async def test_a_magic_link_proves_the_address_and_voids_waiting_passwords(scene: Scene) -> None:
    await scene.subscriber(ADDRESS)
    waiting = await scene.register(scene.browser(), ADDRESS, OTHER_PASSWORD)
    token = await magic_link(scene, ADDRESS)
    answer = await scene.browser().post("/api/auth/verify", json={"token": token})
    assert answer.json()["user"]["is_verified"] is True
    assert answer.json()["password_needed"] is True
    late = await scene.browser().post("/api/auth/verify", json={"token": waiting})
    assert late.status_code == 410
    assert (await attempt(scene, OTHER_PASSWORD)).status_code == 401


async def magic_link(scene: Scene, address: str) -> str:
    answer = await scene.browser().post("/api/auth/magic-link", json={"email": address})
    assert answer.status_code == 202
    mail = (await scene.mails())[-1]
    assert mail.kind == "magic_link"
    return await scene.token_of(mail)


async def test_unknown_addresses_get_no_mail_and_no_row(scene: Scene) -> None:
    for path in ("magic-link", "password/forgot"):
        answer = await scene.browser().post(f"/api/auth/{path}", json={"email": ADDRESS})
        assert answer.status_code == 202
    await scene.subscriber(ADDRESS)
    await scene.browser().post("/api/auth/password/forgot", json={"email": ADDRESS})
    assert await scene.mails() == []
    assert len(await scene.rows(User)) == 1


async def test_a_reset_ends_every_session_and_every_other_link(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    await scene.browser().post("/api/auth/password/forgot", json={"email": ADDRESS})
    token = await scene.last_token()
    user = await scene.user(ADDRESS)
    assert user is not None
    other = await scene.issue(Purpose.PASSWORD_RESET, user.id)
    magic = await scene.issue(Purpose.MAGIC_LINK, user.id)
    body = {"token": token, "password": OTHER_PASSWORD}
    answer = await scene.browser().post("/api/auth/password/reset", json=body)
    assert answer.status_code == 200
    assert (await browser.get("/api/users/me")).status_code == 401
    assert all(row.ended_at for row in await scene.rows(Session))
    for stale in (token, other):
        again = await browser.post("/api/auth/password/reset", json=body | {"token": stale})
        assert again.status_code == 410
    assert (await browser.post("/api/auth/verify", json={"token": magic})).status_code == 410
    assert (await attempt(scene, PASSWORD)).status_code == 401
    assert (await attempt(scene, OTHER_PASSWORD)).status_code == 200


async def test_a_reset_token_lives_an_hour(scene: Scene) -> None:
    await scene.account(ADDRESS)
    await scene.browser().post("/api/auth/password/forgot", json={"email": ADDRESS})
    body = {"token": await scene.last_token(), "password": OTHER_PASSWORD}
    with time_machine.travel(utc_now() + timedelta(minutes=61)):
        answer = await scene.browser().post("/api/auth/password/reset", json=body)
        assert answer.status_code == 410
    short = await scene.browser().post("/api/auth/password/reset", json=body | {"password": "x"})
    assert [e["field"] for e in short.json()["errors"]] == ["password"]


async def test_of_two_resets_at_once_one_counts(scene: Scene) -> None:
    await scene.account(ADDRESS)
    user = await scene.user(ADDRESS)
    assert user is not None
    tokens = [await scene.issue(Purpose.PASSWORD_RESET, user.id) for _ in range(3)]
    answers = await asyncio.gather(
        *(
            scene.browser().post(
                "/api/auth/password/reset", json={"token": token, "password": OTHER_PASSWORD}
            )
            for token in (*tokens, tokens[0])
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410]
