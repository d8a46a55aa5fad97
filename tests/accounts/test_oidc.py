"""Sign-in with OpenID Connect, at a stock provider and at one that lies."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import time_machine
from joserfc.jwk import RSAKey
from sqlalchemy import update

from soonish.infra.db.models.accounts import OidcIdentity, Registration, Session, User
from soonish.infra.db.types import utc_now
from tests.accounts.scene import OTHER_PASSWORD, PASSWORD, Scene
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, OidcProvider, serve_oidc, stock_provider

ADDRESS = "ada@example.com"
ADA = {"sub": "248289761001", "email": ADDRESS, "email_verified": True, "name": "Ada"}


@pytest.fixture(scope="module")
def stock_issuer() -> Generator[str]:
    with stock_provider() as issuer:
        yield issuer


@pytest.fixture
def provider(scene: Scene) -> Generator[OidcProvider]:
    with serve_oidc() as made:
        configure(scene, made.issuer)
        made.person = dict(ADA)
        yield made


def configure(scene: Scene, issuer: str) -> None:
    scene.settings.oidc_issuer = issuer
    scene.settings.oidc_client_id, scene.settings.oidc_client_secret = CLIENT_ID, CLIENT_SECRET


async def test_a_stock_provider_signs_in(scene: Scene, stock_issuer: str) -> None:
    configure(scene, stock_issuer)
    browser = scene.browser()
    async with httpx2.AsyncClient() as outside:
        person = {name: value for name, value in ADA.items() if name != "sub"}
        await outside.put(f"{stock_issuer}/users/{ADA['sub']}", json=person)
        for _ in range(2):  # made at the first time, known at the second
            there = await begin(browser, "/new")
            assert there.startswith(stock_issuer)
            back = await outside.post(there, data={"sub": ADA["sub"]})
            answer = await browser.get(back.headers["location"])
            assert (answer.status_code, answer.headers["location"]) == (303, "/new")
    me = (await browser.get("/api/users/me")).json()
    assert (me["email"], me["name"], me["is_verified"]) == (ADDRESS, "Ada", True)
    (identity,) = await scene.rows(OidcIdentity)
    assert (identity.issuer, identity.subject) == (stock_issuer, ADA["sub"])
    assert len(await scene.rows(User)) == 1


async def test_what_is_asked_is_bound_and_goes_nowhere_else(
    scene: Scene, provider: OidcProvider
) -> None:
    first, second = [await begin(scene.browser()) for _ in range(2)]
    asked, other = [parse_qs(urlsplit(url).query) for url in (first, second)]
    assert asked["scope"] == ["openid email profile"]
    assert asked["redirect_uri"] == [f"{scene.settings.base_url}/auth/oidc/callback"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name][0]) >= 43
        assert asked[name] != other[name]
    assert asked["code_challenge_method"] == ["S256"]


async def test_the_cookie_of_an_attempt_is_out_of_reach_and_short(
    scene: Scene, provider: OidcProvider
) -> None:
    scene.settings.base_url = "https://soonish.example"
    answer = await scene.browser().get("/auth/oidc/login")
    (cookie,) = answer.headers.get_list("set-cookie")
    name, *rest = cookie.split("; ")
    assert name.startswith("__Host-soonish_oidc=")
    assert set(rest) == {"HttpOnly", "Max-Age=600", "Path=/", "SameSite=lax", "Secure"}


async def test_a_password_account_is_connected(scene: Scene, provider: OidcProvider) -> None:
    mine = await scene.account(ADDRESS)
    account = await scene.user(ADDRESS)
    provider.person["email"] = "ADA@Example.com"
    browser = await sign_in(scene)
    me = (await browser.get("/api/users/me")).json()
    assert account is not None
    assert (me["id"], me["has_password"]) == (account.id, True)
    assert (await mine.get("/api/users/me")).status_code == 200
    body = {"email": ADDRESS, "password": PASSWORD}
    assert (await scene.browser().post("/api/auth/login", json=body)).status_code == 200


async def test_the_subject_decides_when_its_address_changed(
    scene: Scene, provider: OidcProvider
) -> None:
    await sign_in(scene)
    await scene.account("grace@example.com")
    provider.person |= {"email": "grace@example.com"}
    browser = await sign_in(scene)
    assert (await browser.get("/api/users/me")).json()["email"] == ADDRESS
    provider.person |= {"email": None, "email_verified": False}
    provider.userinfo = {"sub": ADA["sub"]}
    browser = await sign_in(scene)
    assert (await browser.get("/api/users/me")).json()["email"] == ADDRESS
    assert len(await scene.rows(OidcIdentity)) == 1


async def test_the_same_subject_elsewhere_is_somebody_else(
    scene: Scene, provider: OidcProvider
) -> None:
    await sign_in(scene)
    with serve_oidc() as other:
        configure(scene, other.issuer)
        del scene.app.state.oidc
        other.person = {"sub": ADA["sub"], "email": "eve@example.com", "email_verified": True}
        browser = await sign_in(scene)
    assert (await browser.get("/api/users/me")).json()["email"] == "eve@example.com"


@pytest.mark.parametrize("verified", [False, None, "false", "True", 1, "yes", {}])
async def test_an_address_that_is_not_verified_opens_nothing(
    scene: Scene, provider: OidcProvider, verified: Any
) -> None:
    await scene.account(ADDRESS)
    provider.person["email_verified"] = verified
    page = await refused(scene, 403)
    assert "does not say that your email address is verified" in page
    assert await scene.rows(OidcIdentity) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": None},
        {"email": "nobody"},
        {"email": ["ada@example.com"]},
        {"email": "ada@example.com\u0000"},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "a\u0000b"},
    ],
)
async def test_unusable_claims_are_refused(
    scene: Scene, provider: OidcProvider, wrong: dict[str, Any]
) -> None:
    provider.claims = wrong
    await refused(scene, 403)
    assert await scene.rows(OidcIdentity) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": "another-client", "azp": CLIENT_ID},
        {"aud": [CLIENT_ID, "another-client"]},
        {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"iat": 32503680000},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
)
async def test_an_id_token_with_a_wrong_claim_is_refused(
    scene: Scene, provider: OidcProvider, wrong: dict[str, Any]
) -> None:
    provider.claims = wrong
    await refused(scene, 403)
    provider.claims = {}
    await sign_in(scene)


async def test_an_id_token_that_nobody_or_somebody_else_signed_is_refused(
    scene: Scene, provider: OidcProvider
) -> None:
    provider.header, provider.forged = {"alg": "none"}, b""
    await refused(scene, 403)
    for secret in (CLIENT_SECRET.encode(), provider.key.as_pem(private=False)):
        provider.header, provider.forged = {"alg": "HS256"}, secret
        await refused(scene, 403)
    provider.header, provider.forged = {}, None
    provider.signer = RSAKey.generate_key(2048, {"kid": "one"})
    await refused(scene, 403)
    provider.header, provider.signer = {"kid": "two"}, provider.key
    await refused(scene, 403)
    assert await scene.rows(User) == []


async def test_an_answer_to_another_browser_signs_nobody_in(
    scene: Scene, provider: OidcProvider
) -> None:
    """An attacker sends his own callback to a victim: their browser has no cookie, or another."""
    mallory, victim = scene.browser(), scene.browser()
    callback = await granted(await begin(mallory))
    assert "another browser" in (await failed(victim, callback)).text
    await begin(victim)
    assert "another browser" in (await failed(victim, callback)).text
    assert await scene.rows(Session) == []


async def test_a_callback_works_once(scene: Scene, provider: OidcProvider) -> None:
    browser = scene.browser()
    callback = await granted(await begin(browser))
    kept = browser.cookies["soonish_oidc"]
    assert (await browser.get(callback)).status_code == 303
    assert "soonish_oidc" not in browser.cookies
    await failed(browser, callback)
    await failed(scene.browser(Cookie=f"soonish_oidc={kept}"), callback)  # the code is used up
    assert len(await scene.rows(Session)) == 1


async def test_the_code_of_another_attempt_is_refused(scene: Scene, provider: OidcProvider) -> None:
    """A stolen code without the PKCE verifier of its request."""
    stolen = parse_qs(urlsplit(await granted(await begin(scene.browser()))).query)["code"][0]
    thief = scene.browser()
    own = await granted(await begin(thief))
    code = parse_qs(urlsplit(own).query)["code"][0]
    await failed(thief, own.replace(code, stolen))
    assert await scene.rows(Session) == []


async def test_an_attempt_ends_after_ten_minutes(scene: Scene, provider: OidcProvider) -> None:
    browser = scene.browser()
    callback = await granted(await begin(browser))
    kept = browser.cookies["soonish_oidc"]
    with time_machine.travel(utc_now() + timedelta(minutes=10, seconds=2)):
        await failed(scene.browser(Cookie=f"soonish_oidc={kept}"), callback)
    await failed(scene.browser(Cookie=f"soonish_oidc={kept}x"), callback)
    assert (await browser.get(callback)).status_code == 303


@pytest.mark.parametrize("query", ["", "?state=", "?code=x", "?state=%FF&code=x", "?error=x"])
async def test_a_callback_out_of_nowhere_is_a_page(
    scene: Scene, provider: OidcProvider, query: str
) -> None:
    await failed(scene.browser(), f"/auth/oidc/callback{query}")


async def test_a_cancelled_sign_in_says_so(scene: Scene, provider: OidcProvider) -> None:
    provider.refuses = "access_denied"
    browser = scene.browser()
    page = (await failed(browser, await granted(await begin(browser, "/new")))).text
    assert "You did not sign in there." in page
    assert "/auth/oidc/login?next=/new" in page  # and the way there once more


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/%0d%0aSet-Cookie:x=y",
        "/a\r\nSet-Cookie: x=y",
        "/" + "x" * 5000,
        "",
    ],
)
async def test_next_leads_nowhere_else(scene: Scene, provider: OidcProvider, target: str) -> None:
    browser = scene.browser()
    answer = await browser.get(await granted(await begin(browser, target)))
    assert answer.status_code == 303
    expected = target if target.startswith("/%0d") else "/dashboard"
    assert answer.headers["location"] == expected
    assert "x" not in browser.cookies


async def test_a_planted_session_ends(scene: Scene, provider: OidcProvider) -> None:
    planted = await scene.account("eve@example.com")
    kept = planted.cookies["soonish_session"]
    answer = await planted.get(await granted(await begin(planted)))
    assert answer.status_code == 303
    assert planted.cookies["soonish_session"] != kept
    thief = scene.browser(Cookie=f"soonish_session={kept}")
    assert (await thief.get("/api/users/me")).status_code == 401


async def test_a_waiting_registration_is_out(scene: Scene, provider: OidcProvider) -> None:
    """Somebody registered the address with a password of his own, and waits."""
    squatter = scene.browser()
    token = await scene.register(squatter, ADDRESS, OTHER_PASSWORD)
    browser = await sign_in(scene)
    assert (await browser.get("/api/users/me")).json()["has_password"] is False
    answer = await squatter.post("/api/auth/verify", json={"token": token})
    assert answer.status_code == 410
    body = {"email": ADDRESS, "password": OTHER_PASSWORD}
    assert (await squatter.post("/api/auth/login", json=body)).status_code == 401
    (registration,) = await scene.rows(Registration)
    assert registration.password_hash is None


async def test_a_subscribers_address_becomes_the_account(
    scene: Scene, provider: OidcProvider
) -> None:
    subscriber = await scene.subscriber(ADDRESS)
    browser = await sign_in(scene)
    assert (await browser.get("/api/users/me")).json()["id"] == subscriber.id


@pytest.mark.parametrize("column", ["deactivated_at", "erased_at"])
async def test_a_closed_account_stays_closed(
    scene: Scene, provider: OidcProvider, column: str
) -> None:
    await sign_in(scene)
    async with scene.db.write() as session:
        await session.execute(update(User).values({column: utc_now()}))
    assert "cannot be signed in to" in await refused(scene, 403)


async def test_userinfo_tells_what_the_id_token_does_not(
    scene: Scene, provider: OidcProvider
) -> None:
    provider.person = {"sub": ADA["sub"]}
    provider.userinfo = {**ADA, "sub": "somebody else"}
    await refused(scene, 403)
    provider.userinfo = dict(ADA)
    browser = await sign_in(scene)
    assert (await browser.get("/api/users/me")).json()["email"] == ADDRESS


async def test_a_provider_that_calls_itself_otherwise_is_refused(
    scene: Scene, provider: OidcProvider
) -> None:
    provider.metadata = {"issuer": "https://elsewhere.example"}
    await failed(scene.browser(), "/auth/oidc/login")
    provider.metadata = {"authorization_endpoint": None, "token_endpoint": None}
    await failed(scene.browser(), "/auth/oidc/login")


async def test_another_issuer_in_the_callback_is_refused(
    scene: Scene, provider: OidcProvider
) -> None:
    browser = scene.browser()
    callback = await granted(await begin(browser))
    await failed(browser, f"{callback}&iss=https://elsewhere.example")
    callback = await granted(await begin(browser))
    assert (await browser.get(f"{callback}&iss={provider.issuer}")).status_code == 303


async def test_a_provider_that_is_away_is_a_page(scene: Scene, provider: OidcProvider) -> None:
    provider.status = 500
    answer = await scene.browser().get("/auth/oidc/login")
    assert answer.status_code == 503
    assert "127.0.0.1 does not answer just now" in answer.text
    provider.status = 200
    await sign_in(scene)


async def test_a_wrong_client_secret_is_a_page(scene: Scene, provider: OidcProvider) -> None:
    scene.settings.oidc_client_secret = "wrong"
    await refused(scene, 403)


async def test_the_button_is_there_where_a_provider_is(scene: Scene) -> None:
    for path in ("/login", "/register"):
        assert "/auth/oidc/" not in (await scene.browser().get(path)).text
    for path in ("/auth/oidc/login", "/auth/oidc/callback?code=x&state=y"):
        assert (await scene.browser().get(path)).status_code == 404
    configure(scene, "https://id.example")
    for path in ("/login", "/register"):
        assert "Continue with id.example" in (await scene.browser().get(path)).text
    page = (await scene.browser().get("/login?next=/new%3Fa%3Db")).text
    assert "/auth/oidc/login?next=/new%3Fa%3Db" in page


async def begin(browser: httpx2.AsyncClient, next: str = "") -> str:
    """Where the browser is sent to sign in."""
    answer = await browser.get("/auth/oidc/login", params={"next": next} if next else None)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def granted(there: str) -> str:
    """Where the provider sends the browser back to."""
    async with httpx2.AsyncClient() as outside:
        return (await outside.get(there)).headers["location"]


async def sign_in(scene: Scene) -> httpx2.AsyncClient:
    browser = scene.browser()
    answer = await browser.get(await granted(await begin(browser)))
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard"), answer.text
    return browser


async def refused(scene: Scene, status: int) -> str:
    """The page that a sign-in ends with, which signs nobody in."""
    browser = scene.browser()
    answer = await failed(browser, await granted(await begin(browser)))
    assert answer.status_code == status
    return answer.text


async def failed(browser: httpx2.AsyncClient, path: str) -> httpx2.Response:
    answer = await browser.get(path)
    assert 400 <= answer.status_code < 500, answer.status_code
    assert 'role="alert"' in answer.text
    assert "soonish_session" not in answer.headers.get("set-cookie", "")
    return answer
