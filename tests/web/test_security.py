"""Headers, the CSRF guard, and the assets."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import httpx2
import pytest

from soonish.web.cookies import SESSION
from soonish.web.rendering.assets import FOLDER, manifest

BASE = "http://soonish.example"
COOKIE = {"cookie": f"{SESSION}=abc"}


async def test_every_response_has_the_strict_headers(client: httpx2.AsyncClient):
    for path in ("/page", "/api/nothing", "/nothing", "/api/fail/crash"):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "private, no-store"
        assert {"Cookie", "HX-Request"} <= set(headers["vary"].split(", "))
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=(), " in headers["permissions-policy"]
        assert "strict-transport-security" not in headers


async def test_pages_with_a_token_send_no_referrer(client: httpx2.AsyncClient):
    assert (await client.get("/manage/token")).headers["referrer-policy"] == "no-referrer"
    assert (await client.get("/page")).headers["referrer-policy"] == "same-origin"


async def test_a_redirect_to_this_site_names_no_host(client: httpx2.AsyncClient):
    """Behind a proxy the request's scheme and Host are not those of the site."""
    answer = await client.get("/page/?a=1", headers={"host": "elsewhere.example"})
    assert answer.status_code == 307
    assert answer.headers["location"] == "/page?a=1"


async def test_https_is_kept(client_at: Callable[[str], httpx2.AsyncClient]):
    response = await client_at("https://soonish.example").get("/page")
    assert response.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


async def test_over_https_every_cookie_is_of_this_host_alone(
    client_at: Callable[[str], httpx2.AsyncClient],
):
    client = client_at("https://soonish.example")
    left = await client.post("/leave")
    cookies = left.headers.get_list("set-cookie")
    assert cookies
    for cookie in cookies:
        assert cookie.startswith("__Host-")
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= set(cookie.lower().split("; "))
        assert "domain" not in cookie.lower()
    assert "You are signed out." in (await client.get("/page")).text
    assert "You are signed out." not in (await client.get("/page")).text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": BASE}, 403),
        ({"origin": BASE}, 200),
        ({"origin": "http://elsewhere.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
async def test_a_cookie_counts_only_from_this_site(
    client: httpx2.AsyncClient, headers: dict[str, str], status: int
):
    response = await client.post("/api/echo", headers=COOKIE | headers)
    assert response.status_code == status
    if status == 403:
        assert response.json()["code"] == "csrf_failed"


async def test_what_no_cookie_vouches_for_is_exempt(client: httpx2.AsyncClient):
    foreign = {"sec-fetch-site": "cross-site"}
    bearer = COOKIE | foreign | {"authorization": "Bearer x"}
    assert (await client.post("/api/echo", headers=bearer)).status_code == 200
    assert (await client.post("/api/echo", headers=foreign)).status_code == 200
    assert (await client.post("/u/token", headers=COOKIE | foreign)).status_code == 200
    assert (await client.get("/page", headers=COOKIE | foreign)).status_code == 200


async def test_pages_take_no_form_from_elsewhere_even_without_a_session(client: httpx2.AsyncClient):
    foreign = {"sec-fetch-site": "cross-site"}
    response = await client.post("/echo", headers=foreign)
    assert response.json()["code"] == "csrf_failed"
    page = await client.post("/echo", headers=foreign | {"accept": "text/html"})
    assert page.status_code == 403
    assert "came from another site" in page.text


async def test_a_notice_is_shown_once(client: httpx2.AsyncClient):
    await client.post("/leave")
    assert "You are signed out." in (await client.get("/page")).text
    assert "You are signed out." not in (await client.get("/page")).text


async def test_a_token_page_neither_reads_nor_sets_a_cookie_for_strangers(
    client: httpx2.AsyncClient,
):
    response = await client.get("/manage/token")
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("name", ["app.css", "app.js", "htmx.js", "alpine.js", "icon.svg"])
async def test_assets_are_compressed_and_cached_for_ever(client: httpx2.AsyncClient, name: str):
    built = manifest()[name]
    for encoding in ("br", "gzip", "identity"):
        response = await client.get(f"/assets/{built}", headers={"accept-encoding": encoding})
        assert "immutable" in response.headers["cache-control"]
        assert response.headers.get("content-encoding", "identity") == encoding
    assert response.content == (FOLDER / built).read_bytes()
    assert gzip.decompress((FOLDER / f"{built}.gz").read_bytes()) == response.content


@pytest.mark.parametrize(
    "name", ["manifest.json", "nothing.css", "../assets.py", "%2e%2e/assets.py"]
)
async def test_nothing_but_built_assets_is_served(client: httpx2.AsyncClient, name: str):
    assert (await client.get(f"/assets/{name}")).status_code == 404


async def test_pages_are_compressed(client: httpx2.AsyncClient):
    response = await client.get("/page", headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
