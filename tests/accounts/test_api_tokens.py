"""Personal API tokens: what they may do, and when they end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
import time_machine
from sqlalchemy import update

from soonish.domain.accounts.api_tokens import MAX_LIVE
from soonish.identity.tokens import Purpose, hash_of
from soonish.infra.db.models.accounts import ApiToken, User
from soonish.infra.db.types import utc_now
from tests.accounts.scene import OTHER_PASSWORD, PASSWORD, Scene

ADDRESS, TOKENS = "ada@example.com", "/api/users/me/tokens"


async def test_a_token_is_shown_once_and_acts_for_its_user(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    expires = "2100-01-01T00:00:00+01:00"
    made = await make(browser, name="  Calendar\n script ", scope="read", expires_at=expires)
    assert made["token"].startswith("soonish_")
    assert (made["name"], made["scope"]) == ("Calendar script", "read")
    assert made["expires_at"] == "2099-12-31T23:00:00Z"
    (row,) = await scene.rows(ApiToken)
    assert row.token_hash == hash_of(made["token"])
    (listed,) = (await browser.get(TOKENS)).json()["items"]
    assert listed == {name: made[name] for name in made if name != "token"}
    me = await program(scene, made).get("/api/users/me")
    assert me.json()["email"] == ADDRESS


async def test_a_token_that_reads_changes_nothing(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    reader = program(scene, await make(browser, scope="read"))
    for method, path in (("POST", "/api/auth/logout"), ("PATCH", "/api/users/me")):
        answer = await reader.request(method, path, json={"name": "Eve"})
        assert answer.status_code == 403, method
        assert answer.json()["code"] == "insufficient_scope"
        assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'
    user = await scene.user(ADDRESS)
    assert user is not None
    assert user.name is None


async def test_a_token_that_writes_changes_the_profile(scene: Scene) -> None:
    writer = program(scene, await make(await scene.account(ADDRESS), scope="write"))
    answer = await writer.patch("/api/users/me", json={"name": "Ada", "timezone": "Europe/Rome"})
    assert answer.status_code == 200
    assert answer.json()["name"] == "Ada"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", TOKENS, None),
        ("POST", TOKENS, {"name": "another", "scope": "read"}),
        ("DELETE", TOKENS, None),
        ("DELETE", f"{TOKENS}/1", None),
        ("GET", "/api/users/me/sessions", None),
        ("DELETE", "/api/users/me/sessions", None),
        ("DELETE", "/api/users/me/sessions/1", None),
        ("POST", "/api/auth/logout", None),
        ("PATCH", "/api/users/me", {"name": "E", "email": "eve@example.com"}),
        (
            "PATCH",
            "/api/users/me",
            {"password": OTHER_PASSWORD, "current_password": PASSWORD},
        ),
    ],
)
async def test_no_token_gets_hold_of_the_account(
    scene: Scene, method: str, path: str, body: dict[str, Any] | None
) -> None:
    browser = await scene.account(ADDRESS)
    writer = program(scene, await make(browser, scope="write"))
    answer = await writer.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "session_required")
    assert (await browser.get("/api/users/me")).json()["name"] is None
    assert len((await browser.get(TOKENS)).json()["items"]) == 1


async def test_a_token_ends_at_its_time(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    made = await make(browser, expires_at=f"{utc_now() + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}")
    assert await status_of(scene, made) == 200
    with time_machine.travel(utc_now() + timedelta(hours=2, seconds=1)):
        assert await status_of(scene, made) == 401
        assert len((await browser.get(TOKENS)).json()["items"]) == 1  # to see why it failed


async def test_a_revoked_token_is_gone(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    first, second, third = [await make(browser) for _ in range(3)]
    assert (await browser.delete(f"{TOKENS}/{first['id']}")).status_code == 204
    assert (await browser.delete(f"{TOKENS}/{first['id']}")).status_code == 404
    assert [await status_of(scene, one) for one in (first, second, third)] == [401, 200, 200]
    assert (await browser.delete(TOKENS)).status_code == 204
    assert await status_of(scene, second) == await status_of(scene, third) == 401
    assert (await browser.get(TOKENS)).json() == {"items": [], "next_cursor": None}


async def test_nobody_reaches_the_tokens_of_somebody_else(scene: Scene) -> None:
    mine, theirs = await scene.account(ADDRESS), await scene.account("eve@example.com")
    made = await make(mine)
    assert (await theirs.get(TOKENS)).json()["items"] == []
    assert (await theirs.delete(f"{TOKENS}/{made['id']}")).status_code == 404
    assert (await theirs.delete(TOKENS)).status_code == 204
    assert (await theirs.delete(f"{TOKENS}/{2**70}")).status_code == 404
    assert await status_of(scene, made) == 200


async def test_a_new_password_ends_tokens(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    made = await make(browser)
    body = {"password": OTHER_PASSWORD, "current_password": PASSWORD}
    assert (await browser.patch("/api/users/me", json=body)).status_code == 200
    assert await status_of(scene, made) == 401
    made = await make(browser)
    user = await scene.user(ADDRESS)
    assert user is not None
    token = await scene.issue(Purpose.PASSWORD_RESET, user.id)
    answer = await browser.post(
        "/api/auth/password/reset", json={"token": token, "password": PASSWORD}
    )
    assert answer.status_code == 200
    assert await status_of(scene, made) == 401


async def test_a_new_address_ends_tokens(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    made = await make(browser)
    await browser.patch("/api/users/me", json={"email": "ada@new.example"})
    await scene.begin_verifications()
    assert await status_of(scene, made) == 200
    body = {"token": await scene.last_token()}
    assert (await browser.post("/api/auth/verify", json=body)).status_code == 200
    assert await status_of(scene, made) == 401


@pytest.mark.parametrize("column", ["deactivated_at", "erased_at"])
async def test_a_token_ends_with_its_user(scene: Scene, column: str) -> None:
    made = await make(await scene.account(ADDRESS))
    async with scene.db.write() as session:
        await session.execute(update(User).values({column: utc_now()}))
    assert await status_of(scene, made) == 401


async def test_other_sessions_end_without_tokens(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    made = await make(browser)
    assert (await browser.delete("/api/users/me/sessions")).status_code == 204
    assert (await browser.post("/api/auth/logout")).status_code == 204
    assert await status_of(scene, made) == 200


async def test_last_used_is_written_at_most_once_a_minute(scene: Scene) -> None:
    made = await make(await scene.account(ADDRESS))
    start, seen = utc_now(), list[int]()
    for seconds in (30, 61, 91, 130):
        with time_machine.travel(start + timedelta(seconds=seconds), tick=False):
            assert await status_of(scene, made) == 200
        (row,) = await scene.rows(ApiToken)
        assert isinstance(row.last_used_at, datetime)
        seen.append(round((row.last_used_at - start).total_seconds()))
    assert seen == [30, 30, 91, 91]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": " ", "scope": "read"}, "name"),
        ({"name": "x" * 101, "scope": "read"}, "name"),
        ({"name": "a\u0007b", "scope": "read"}, "name"),
        ({"scope": "read"}, "name"),
        ({"name": "x"}, "scope"),
        ({"name": "x", "scope": "admin"}, "scope"),
        ({"name": "x", "scope": "read", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "scope": "read", "expires_at": "2100-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "scope": "read", "user_id": 1}, "user_id"),
        ({"name": "x", "scope": "read", "token": "soonish_mine"}, "token"),
    ],
)
async def test_wrong_input_names_its_field(scene: Scene, body: dict[str, Any], field: str) -> None:
    answer = await (await scene.account(ADDRESS)).post(TOKENS, json=body)
    assert answer.status_code == 422
    assert [entry["field"] for entry in answer.json()["errors"]] == [field]


async def test_an_account_has_so_many_tokens_and_pages_of_them(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    made = [await make(browser, name=f"number {number}") for number in range(MAX_LIVE)]
    answer = await browser.post(TOKENS, json={"name": "one more", "scope": "read"})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_tokens")
    page = (await browser.get(f"{TOKENS}?limit=30")).json()
    rest = (await browser.get(f"{TOKENS}?cursor={page['next_cursor']}")).json()
    assert [one["id"] for one in page["items"] + rest["items"]] == [
        one["id"] for one in reversed(made)
    ]
    await browser.delete(f"{TOKENS}/{made[0]['id']}")
    await make(browser)


async def test_what_only_looks_like_a_token_is_no_access(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    made = await make(browser)
    for token in ("soonish_", made["token"] + "x", made["token"][:-1], made["token"].upper()):
        assert await status_of(scene, {"token": token}) == 401
    stored = hash_of(made["token"])
    assert await status_of(scene, {"token": f"soonish_{stored}"}) == 401
    cookie = scene.browser(Cookie=f"soonish_session={made['token']}")
    assert (await cookie.get("/api/users/me")).status_code == 401


async def make(browser: httpx2.AsyncClient, **more: str) -> dict[str, Any]:
    answer = await browser.post(TOKENS, json={"name": "script", "scope": "read", **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def program(scene: Scene, made: dict[str, Any]) -> httpx2.AsyncClient:
    return scene.browser(Authorization=f"Bearer {made['token']}")


async def status_of(scene: Scene, made: dict[str, Any]) -> int:
    return (await program(scene, made).get("/api/users/me")).status_code
