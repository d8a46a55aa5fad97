"""What other sites may make a browser do: read, be sent elsewhere, frame, keep."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable

import httpx2
import pytest

from soonish.config import Settings
from soonish.infra.db.session import Database
from soonish.web.cookies import SESSION
from tests.web.site import BROWSER, Site

FRIEND, STRANGER = "https://app.example", "https://evil.example"
ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "https:evil.example",
    "https://evil.example",
    "HTTPS://evil.example",
    "http:/evil.example",
    "evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "\t//evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nSet-Cookie: a=b",
    "/\r\n\r\n<script>",
    " //evil.example",
    "\u2028//evil.example",
    "\ufeff//evil.example",
    "/%09/evil.example\n",
    "@evil.example",
    "?next=//evil.example",
    "",
]


@pytest.fixture
async def site(settings: Settings, database: Database) -> AsyncGenerator[Site]:
    settings.cors_origins = [FRIEND]
    made = Site(settings)
    yield made
    await made.close()


def lands_here(site: Site, location: str) -> bool:
    """Whether a browser that follows this stays on the site, however it reads the address."""
    base = httpx2.URL(f"{site.runtime.settings.base_url}/login")
    read = re.sub(r"[\t\n\r]", "", location.strip()).replace("\\", "/")
    target = base.join(read)
    return (target.scheme, target.host, target.port) == (base.scheme, base.host, base.port)


@pytest.mark.parametrize("target", ELSEWHERE)
async def test_signing_in_leads_nowhere_else(site: Site, target: str) -> None:
    visitor = await site.member("anna")
    answer = await visitor.client.get("/login", params={"next": target}, headers=BROWSER)
    assert answer.status_code == 303
    assert lands_here(site, answer.headers["location"])
    assert "evil" not in answer.headers["location"].partition("?")[0]
    assert "a=b" not in answer.headers.get("set-cookie", "")


async def test_signing_in_leads_back_to_a_page_of_ours(site: Site) -> None:
    visitor = await site.member("anna")
    for target in ("/events/7", "/e/picnic?invitation=a%2Fb#subscribe", "/account?x=//y"):
        answer = await visitor.client.get("/login", params={"next": target}, headers=BROWSER)
        assert answer.headers["location"] == target


async def test_a_page_of_a_strange_address_leads_back_to_ours(site: Site) -> None:
    """Who is sent to sign in comes back to a path, never to what a path could be taken for."""
    for path in ("//evil.example/dashboard", "/dashboard"):
        visitor = site.visitor()
        asked = await visitor.client.get(
            f"{site.runtime.settings.base_url}{path}", headers=BROWSER, follow_redirects=True
        )
        assert asked.url.host == httpx2.URL(site.runtime.settings.base_url).host


async def test_a_script_of_a_listed_site_may_call_the_api_without_cookies(site: Site) -> None:
    client = (await site.member("anna")).client
    preflight = {
        "origin": FRIEND,
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization, content-type",
    }
    asked = await client.options("/api/users/me", headers=preflight)
    assert asked.status_code == 200
    for answer in (asked, await client.get("/api/health", headers={"origin": FRIEND})):
        assert answer.headers["access-control-allow-origin"] == FRIEND
        assert "access-control-allow-credentials" not in answer.headers
        assert "Origin" in answer.headers["vary"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    refused = await client.get("/api/events/x", headers={"origin": FRIEND})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (404, FRIEND)


@pytest.mark.parametrize("origin", [STRANGER, "null", "https://app.example.evil.example", "*"])
async def test_scripts_of_other_sites_may_not_read(site: Site, origin: str) -> None:
    client = (await site.member("anna")).client
    answer = await client.get("/api/users/me", headers={"origin": origin})
    assert "access-control-allow-origin" not in answer.headers
    preflight = {"origin": origin, "access-control-request-method": "DELETE"}
    asked = await client.options("/api/users/me", headers=preflight)
    assert asked.status_code == 400
    assert "access-control-allow-origin" not in asked.headers


async def test_a_listed_site_cannot_act_with_the_cookie(site: Site) -> None:
    client = (await site.member("anna")).client
    forged = {"origin": FRIEND, "sec-fetch-site": "cross-site"}
    assert (await client.delete("/api/users/me/sessions", headers=forged)).status_code == 403


@pytest.mark.parametrize("origin", ["*", "app.example", "https://app.example/", "https://"])
def test_what_is_no_origin_is_refused_at_start(
    settings_for: Callable[..., Settings], origin: str
) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        settings_for(cors_origins=origin)


async def test_no_page_has_script_or_style_of_its_own(site: Site) -> None:
    visitor = await site.member("anna")
    event_id, slug = await visitor.create_event()
    paths = ["/", "/login", "/register", "/forgot", "/dashboard", "/account", "/integrations"]
    for path in [*paths, f"/events/{event_id}", f"/e/{slug}", "/new", "/api/docs"]:
        page = (await visitor.client.get(path, headers=BROWSER, follow_redirects=True)).text
        assert not re.search(r"<script(?![^>]* src=\"/assets/)", page), path
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page), path
        for address in re.findall(r"<(?:script|link|img)[^>]* (?:src|href)=\"([^\"]+)", page):
            assert address.startswith(("/", "data:", site.runtime.settings.base_url)), path


async def test_private_pages_are_kept_by_nobody(site: Site) -> None:
    visitor = await site.member("anna")
    for path in ("/dashboard", "/account", "/api/users/me", "/api/users/me/sessions"):
        answer = await visitor.get(path)
        assert answer.headers["cache-control"] == "private, no-store"
        assert "Cookie" in answer.headers["vary"]


async def test_a_session_cookie_is_for_our_pages_alone(site: Site) -> None:
    visitor = await site.member("anna")
    answer = await visitor.client.patch("/api/users/me", json={"password": "correct horse battery"})
    [cookie] = [c for c in answer.headers.get_list("set-cookie") if c.startswith(SESSION)]
    parts = set(cookie.lower().split("; "))
    assert {"httponly", "samesite=lax", "path=/"} <= parts
    assert not any(part.startswith("domain") for part in parts)


async def test_passwords_are_masked_and_may_be_filled_in_by_a_manager(site: Site) -> None:
    visitor, member = site.visitor(), await site.member("anna")
    for who, path in ((visitor, "/login"), (visitor, "/register"), (member, "/account")):
        page = (await who.get(path)).text
        fields = re.findall(r"<input[^>]*name=\"(?:current_)?password\"[^>]*>", page)
        assert fields, path
        for field in fields:
            assert 'type="password"' in field
            assert re.search(r'autocomplete="(?:new|current)-password"', field)
