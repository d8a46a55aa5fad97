"""Everything about an account that is secret, used as its owner and a stranger use it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx2

from tests.e2e.people import PASSWORD, Person
from tests.support.system import SoonishSystem, links

PAGES = ("/", "/dashboard", "/account", "/integrations", "/new", "/login", "/api/docs")
ANSWERS = (
    "/api/users/me",
    "/api/users/me/sessions",
    "/api/users/me/tokens",
    "/api/users/me/audit",
    "/api/users/me/subscriptions",
    "/api/integrations",
    "/api/health",
    "/api/temporal/connection",
    "/api/openapi.json",
)
Marker = Callable[[str], str]


def use_account(
    system: SoonishSystem, member: Person, marked: Marker, markers: dict[str, str]
) -> dict[str, str]:
    """A new password, links by mail, a cookie, API tokens; what was shown, by its address."""
    password = f"{marked('a password')} with spaces"
    change = {"password": password, "current_password": PASSWORD}
    member.ask("PATCH", "/api/users/me", json=change)
    with httpx2.Client(base_url=system.base_url, timeout=20, follow_redirects=True) as browser:
        form = {"email": member.address, "password": password}
        signed_in = browser.post("/api/auth/login", json=form)
        assert signed_in.status_code == 200, signed_in.text
        member.token = markers["access token"] = signed_in.json()["access_token"]
        markers["session cookie"] = browser.cookies["soonish_session"]
        markers["API token"] = make_token(member)
        follow_mailed_links(system, browser, member, marked, markers)
        shown = {page: browser.get(page).text for page in PAGES}
        shown |= {path: browser.get(path).text for path in ANSWERS}
        shown["/metrics"] = browser.get("/metrics").text
    read = {"Authorization": f"Bearer {markers['API token']}"}
    assert member.answer("GET", "/api/users/me", headers=read).status_code == 200
    assert member.answer("POST", "/api/events", headers=read, json={}).status_code == 403
    return shown


def make_token(member: Person) -> str:
    made = member.ask(
        "POST", "/api/users/me/tokens", json={"name": "Backup", "scope": "read"}, expect=201
    )
    return made["token"]


def follow_mailed_links(
    system: SoonishSystem,
    browser: httpx2.Client,
    member: Person,
    marked: Marker,
    markers: dict[str, str],
) -> None:
    """A link that signs in and one to a new password, each opened, used, and used again."""
    member.ask("POST", "/api/auth/password/forgot", json={"email": member.address}, expect=202)
    reset = token_of(system, member, "/reset?token=", "Choose a new password")
    member.ask("POST", "/api/auth/magic-link", json={"email": member.address}, expect=202)
    magic = token_of(system, member, "/verify?token=", "sign in")
    markers["reset token"], markers["magic token"] = reset, magic
    for path, token in (("/reset", reset), ("/verify", magic)):
        assert browser.get(path, params={"token": token}).status_code == 200
    for expected in (200, 410):
        answer = browser.post("/api/auth/verify", json={"token": magic})
        assert answer.status_code == expected, answer.text
    new = {"token": reset, "password": f"{marked('the password after a reset')} again"}
    for expected in (200, 410):
        assert browser.post("/api/auth/password/reset", json=new).status_code == expected
    form = {"email": member.address, "password": new["password"]}
    signed_in = browser.post("/api/auth/login", json=form)
    member.token = markers["later access token"] = signed_in.json()["access_token"]
    markers["later session cookie"] = browser.cookies["soonish_session"]
    markers["API token"] = make_token(member)


def token_of(system: SoonishSystem, member: Person, link: str, subject: str) -> str:
    mail = system.wait_for_mail(member.address, subject)
    return parse_qs(urlsplit(links(mail, link)[0]).query)["token"][0]
