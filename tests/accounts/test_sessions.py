"""Cookie and access token: both stand and fall with the session's row."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import httpx2
import jwt
import pytest
import time_machine

from soonish.domain.accounts import access_tokens, sessions
from soonish.domain.accounts.operators import create_account
from soonish.infra.db.models.accounts import Session
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.types import utc_now
from tests.accounts.scene import PASSWORD, Scene

ADDRESS = "ada@example.com"


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(scene: Scene) -> None:
    await scene.account(ADDRESS)
    answer = await login(scene, scene.browser())
    (cookie,) = answer.headers.get_list("set-cookie")
    parts = cookie.split("; ")
    assert parts[0].startswith("soonish_session=")
    assert set(parts[1:]) == {"HttpOnly", "Max-Age=604800", "Path=/", "SameSite=lax"}


async def test_over_https_it_is_bound_to_the_host(scene: Scene) -> None:
    scene.settings.base_url = "https://soonish.example"
    browser = await scene.account(ADDRESS)
    names = {cookie.name for cookie in browser.cookies.jar}
    assert "__Host-soonish_session" in names
    answer = await login(scene, browser)
    (cookie,) = answer.headers.get_list("set-cookie")
    assert "Secure" in cookie
    assert "Domain" not in cookie
    assert (await browser.get("/api/users/me")).status_code == 200


async def test_logout_ends_cookie_and_access_token(scene: Scene) -> None:
    await scene.account(ADDRESS)
    browser = scene.browser()
    bearer = bearer_of(await login(scene, browser))
    stolen = browser.cookies["soonish_session"]
    assert (await browser.post("/api/auth/logout")).status_code == 204
    assert "soonish_session" not in browser.cookies
    thief = scene.browser(Cookie=f"soonish_session={stolen}")
    assert (await thief.get("/api/users/me")).status_code == 401
    assert (await scene.browser().get("/api/users/me", headers=bearer)).status_code == 401
    assert (await browser.post("/api/auth/logout")).status_code == 401


async def test_a_login_replaces_the_session_that_the_browser_had(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    planted = browser.cookies["soonish_session"]
    await login(scene, browser)
    assert browser.cookies["soonish_session"] != planted
    thief = scene.browser(Cookie=f"soonish_session={planted}")
    assert (await thief.get("/api/users/me")).status_code == 401


async def test_the_authorization_header_alone_decides(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    token = bearer_of(await login(scene, scene.browser()))["Authorization"].split()[1]
    assert (await browser.get("/api/users/me")).status_code == 200
    for header in ("Bearer nonsense", "Bearer ", "Basic YTpi", token, "", f"Token {token}"):
        answer = await browser.get("/api/users/me", headers={"Authorization": header})
        assert answer.status_code == 401, header
        assert answer.json()["code"] == "unauthorized"
        assert answer.headers["www-authenticate"] == "Bearer"
    for header in (f"Bearer {token}", f"bearer {token}"):
        answer = await scene.browser().get("/api/users/me", headers={"Authorization": header})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "somebody-else"},
        {"iss": "https://elsewhere.example"},
        {"type": "refresh"},
        {"exp": 1},
        {"sid": 10**30},
        {"sid": "one"},
        {"sid": True},
        {"sid": 4711},
        {"sub": "4711"},
        {"sub": "²"},
        {"sub": 1},
        {"sub": ""},
        {"exp": None},
        {"sid": None},
        {"type": None},
    ],
)
async def test_a_wrong_claim_is_no_access(scene: Scene, change: dict[str, Any]) -> None:
    await scene.account(ADDRESS)
    (row, *_) = await scene.rows(Session)
    good = access_tokens.issue(scene.settings, row).token
    key = access_tokens.signing_key(scene.settings)
    claims = jwt.decode(good, options={"verify_signature": False})
    claims = {k: v for k, v in (claims | change).items() if v is not None}
    answer = await ask(scene, jwt.encode(claims, key, algorithm="HS256"))
    assert answer.status_code == 401
    assert (await ask(scene, good)).status_code == 200


async def test_another_key_or_algorithm_is_no_access(scene: Scene) -> None:
    await scene.account(ADDRESS)
    (row, *_) = await scene.rows(Session)
    good = access_tokens.issue(scene.settings, row).token
    claims = jwt.decode(good, options={"verify_signature": False})
    key = access_tokens.signing_key(scene.settings)
    unsigned = ".".join((encoded({"alg": "none", "typ": "JWT"}), good.split(".")[1], ""))
    for token in (
        unsigned,
        jwt.encode(claims, scene.settings.secret_key.ljust(64), algorithm="HS256"),
        jwt.encode(claims, key, algorithm="HS512"),
        good[:-4] + "AAAA",
    ):
        assert (await ask(scene, token)).status_code == 401


async def test_an_access_token_ends_after_its_minutes_the_session_later(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    bearer = bearer_of(await login(scene, scene.browser()))
    with time_machine.travel(utc_now() + timedelta(minutes=61)):
        assert (await scene.browser().get("/api/users/me", headers=bearer)).status_code == 401
        assert (await browser.get("/api/users/me")).status_code == 200


async def test_an_idle_session_ends(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    start = utc_now()
    for hours in (20, 40, 60):  # each use makes it live on
        with time_machine.travel(start + timedelta(hours=hours)):
            assert (await browser.get("/api/users/me")).status_code == 200
    with time_machine.travel(start + timedelta(hours=85)):
        assert (await browser.get("/api/users/me")).status_code == 401


async def test_no_use_makes_it_live_longer_than_its_limit(scene: Scene) -> None:
    scene.settings.session_max_days = 2
    browser = await scene.account(ADDRESS)
    start = utc_now()
    for hours, status in ((20, 200), (40, 200), (47, 200), (49, 401)):
        with time_machine.travel(start + timedelta(hours=hours)):
            assert (await browser.get("/api/users/me")).status_code == status


async def test_last_seen_is_written_at_most_once_a_minute(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    start = utc_now()
    seen: list[Any] = []
    for seconds in (30, 61, 62, 130):
        with time_machine.travel(start + timedelta(seconds=seconds), tick=False):
            await browser.get("/api/users/me")
        (row,) = await scene.rows(Session)
        seen.append(round((row.last_seen_at - start).total_seconds()))
    assert seen == [0, 61, 61, 130]


async def test_sessions_are_listed_and_revoked(scene: Scene) -> None:
    first = await scene.account(ADDRESS)
    for number in range(3):
        await login(scene, scene.browser(**{"User-Agent": f"Browser/{number}"}))
    page = (await first.get("/api/users/me/sessions?limit=3")).json()
    rest = (await first.get(f"/api/users/me/sessions?cursor={page['next_cursor']}")).json()
    items = page["items"] + rest["items"]
    assert [item["user_agent"] for item in items[:3]] == ["Browser/2", "Browser/1", "Browser/0"]
    assert [item["current"] for item in items] == [False, False, False, True]
    assert rest["next_cursor"] is None
    assert set(items[0]) == {
        "id",
        "user_agent",
        "created_at",
        "last_seen_at",
        "expires_at",
        "current",
    }
    path = f"/api/users/me/sessions/{items[0]['id']}"
    assert (await first.delete(path)).status_code == 204
    assert (await first.delete(path)).status_code == 404
    left = (await first.get("/api/users/me/sessions")).json()["items"]
    assert [item["id"] for item in left] == [item["id"] for item in items[1:]]
    assert (await first.delete("/api/users/me/sessions")).status_code == 204
    left = (await first.get("/api/users/me/sessions")).json()["items"]
    assert [item["current"] for item in left] == [True]


async def test_nobody_ends_somebody_elses_session(scene: Scene) -> None:
    mine, theirs = await scene.account(ADDRESS), await scene.account("eve@example.com")
    (item,) = (await theirs.get("/api/users/me/sessions")).json()["items"]
    assert (await mine.delete(f"/api/users/me/sessions/{item['id']}")).status_code == 404
    assert (await mine.delete(f"/api/users/me/sessions/{2**70}")).status_code == 404
    assert (await theirs.get("/api/users/me")).status_code == 200
    for method, path in (("GET", ""), ("DELETE", ""), ("DELETE", f"/{item['id']}")):
        answer = await scene.browser().request(method, f"/api/users/me/sessions{path}")
        assert answer.status_code == 401


async def test_whoever_becomes_an_administrator_signs_in_again(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    token = await browser.post("/api/users/me/tokens", json={"name": "x", "scope": "write"})
    for admin, status in ((True, 401), (True, 200)):  # the second time changes nothing
        async with scene.db.write() as session:
            await create_account(session, ADDRESS, name=None, password_hash=None, admin=admin)
        assert (await browser.get("/api/users/me")).status_code == status
        await login(scene, browser)
    assert (await ask(scene, token.json()["token"])).status_code == 401


async def test_the_rows_life_is_announced_and_checked(scene: Scene) -> None:
    """What SessionWorkflow sees of it."""
    browser = await scene.account(ADDRESS)
    (row,) = await scene.rows(Session)
    assert await check(scene, row.id) == pytest.approx(24 * 3600, abs=60)
    undone = [r.stream for r in await scene.rows(OutboxRow) if r.done_at is None]
    assert f"session-{row.id}" not in undone
    with time_machine.travel(utc_now() + timedelta(hours=25)):
        assert await check(scene, row.id) is None
    (row,) = await scene.rows(Session)
    assert row.ended_at is not None
    assert (await browser.get("/api/users/me")).status_code == 401
    assert await check(scene, 4711) is None


async def check(scene: Scene, session_id: int) -> float | None:
    async with scene.db.write() as session:
        return await sessions.expire_if_due(session, scene.settings, session_id)


async def login(scene: Scene, browser: httpx2.AsyncClient) -> httpx2.Response:
    answer = await browser.post("/api/auth/login", json={"email": ADDRESS, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return answer


async def ask(scene: Scene, token: str) -> httpx2.Response:
    bearer = {"Authorization": f"Bearer {token}"}
    return await scene.browser().get("/api/users/me", headers=bearer)


def bearer_of(answer: httpx2.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
