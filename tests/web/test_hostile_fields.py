"""Whatever is typed into any field: a page, an answer and a mail's header stay what they were."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from html.parser import HTMLParser
from typing import Any

import pytest

from soonish.config import Settings
from soonish.infra.db.session import Database
from tests.web.site import BROWSER, Site, Visitor

MARK = "xq7"
HOSTILE = {
    "html": f"<script>{MARK}()</script><img src=x onerror={MARK}()>",
    "attribute": f"\" onfocus={MARK}() autofocus x='\" ' onclick={MARK}() y='",
    "closing": f"</textarea></title></script><svg/onload={MARK}()>",
    "markdown": f"[a](javascript:{MARK}()) [b](data:text/html,{MARK}) ![c](x:{MARK}())",
    "autolink": f"<javascript:{MARK}()> javascript:{MARK}()",
    "template": "{{ 7919*7907 }} {% raw %} ${7919*7907} #{7919*7907} %(x)s",
    "header": f"a\r\nX-{MARK}: 1\r\nSet-Cookie: {MARK}=1\r\n\r\n<script>{MARK}()</script>",
    "bidi": f"\u202e{MARK}\u2066\u200b\u200f\ufeff",
    "mentions": f"@everyone @here <!channel> {MARK}",
    "csv": f'=HYPERLINK("http://evil.example/{MARK}")',
}
ACTING = re.compile(r"^on|^srcdoc$|^style$", re.IGNORECASE)


class Acting(HTMLParser):
    """Collects what would act in a page: scripts of its own, handlers, script addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in ("script", "iframe", "object", "embed", "base", "svg") and "xq7" in str(attrs):
            self.found.append(f"<{tag} {attrs}>")
        if tag == "script" and not values.get("src", "").startswith("/assets/"):
            self.found.append(f"<script {attrs}>")
        for name, value in values.items():
            scheme = re.sub(r"[\x00-\x20]", "", value).lower()
            if ACTING.match(name) or scheme.startswith(("javascript:", "data:text", "x:")):
                self.found.append(f"{tag} {name}={value}")


@pytest.fixture
async def site(settings: Settings, database: Database) -> AsyncGenerator[Site]:
    made = Site(settings)
    yield made
    await made.close()


async def send(visitor: Visitor, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer, or nothing where the value is refused with the name of a field of the body."""
    answer = await visitor.client.request(method, path, json=body)
    assert answer.headers["content-type"] in ("application/json", "application/problem+json")
    assert MARK not in str(answer.headers).lower()
    if answer.status_code == 422:
        fields = {error["field"].split(".")[0] for error in answer.json()["errors"]}
        assert fields <= set(body)
        return {}
    assert answer.status_code < 300, answer.text
    return answer.json()


async def fill_everything(visitor: Visitor, text: str) -> dict[str, Any]:
    """Put the text into every field that takes any; what cannot take it gets something plain."""
    await send(visitor, "PATCH", "/api/users/me", {"name": text[:100]})
    fields = ("description", "location", "contact", "category")
    event: dict[str, Any] = {"name": "Plain", "start_date": "2099-01-01T00:00:00Z"}
    made = await send(visitor, "POST", "/api/events", event)
    path = f"/api/events/{made['id']}"
    for name in ("name", *fields):
        await send(visitor, "PATCH", path, {name: text})
    await send(visitor, "PATCH", path, {"tags": [text]})
    await send(visitor, "POST", f"{path}/notify", {"title": text, "body": text})
    guest = {"email": f"{MARK}@example.org", "name": text}
    await send(visitor, "POST", f"{path}/subscribe", guest)
    await send(visitor, "POST", f"{path}/subscribe", {})
    for field in ("name", "tag"):
        channel = {"name": "Hook", "tag": "chat", "verify": False, field: text}
        await send(
            visitor,
            "POST",
            "/api/integrations",
            channel | {"apprise_url": f"json://h.example/{field}"},
        )
    await send(visitor, "POST", "/api/users/me/tokens", {"name": text, "scope": "read"})
    return made


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_no_field_acts_on_any_page(site: Site, text: str) -> None:
    visitor = await site.member("anna")
    event = await fill_everything(visitor, text)
    event_page = f"/e/{event['slug']}"
    organizer = f"/events/{event['id']}"
    paths = ["/", event_page, organizer, f"{organizer}/edit", f"{organizer}/subscribers"]
    paths += ["/dashboard", "/integrations", "/account"]
    shown = ""
    for path in paths:
        answer = await visitor.client.get(path, headers=BROWSER, follow_redirects=True)
        assert answer.status_code == 200, path
        assert Acting(answer.text).found == [], path
        assert f"x-{MARK}" not in answer.headers
        assert MARK not in answer.headers.get("set-cookie", "")
        assert "62615533" not in answer.text, path
        shown += answer.text
    assert MARK in shown or "7919*7907" in shown


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_no_field_acts_where_a_form_shows_it_again(site: Site, text: str) -> None:
    """What was refused is in the form again, as it was typed."""
    visitor, stranger = await site.member("anna"), site.visitor()
    for who, path, fields in (
        (stranger, "/login", {"email": text, "password": text, "next": text}),
        (stranger, "/register", {"email": text, "name": text, "password": text}),
        (stranger, "/forgot", {"email": text}),
        (stranger, "/reset", {"token": text, "password": text}),
        (stranger, "/verify", {"token": text}),
        (visitor, "/new", {"name": text, "start_date": text, "timezone": text, "tags": text}),
        (visitor, "/account", {"name": text * 50, "timezone": text}),
        (visitor, "/integrations/new/url", {"name": text, "tag": text, "apprise_url": text}),
    ):
        answer = await who.post(path, **fields)
        assert answer.status_code in (200, 303, 401, 410, 422), (path, answer.status_code)
        assert Acting(answer.text).found == [], path
        assert f"x-{MARK}" not in answer.headers
    for path in ("/", "/login", "/verify", "/reset", "/integrations/new"):
        params = {"query": text, "next": text, "token": text, "category": text, "tag": text}
        answer = await visitor.client.get(path, params=params, headers=BROWSER)
        assert answer.status_code < 500, path
        assert Acting(answer.text).found == [], path


READ_ONLY = {
    "/api/events": {
        "id": 7, "owner_user_id": 1, "slug": "mine", "status": "cancelled", "subscriber_count": 9,
        "temporal_workflow_id": "event-1", "public_url": "https://evil.example", "created_at": "x",
    },
    "/api/users/me": {
        "id": 1, "is_verified": True, "is_admin": True, "has_password": True, "token_epoch": 9,
        "password_hash": "x", "email_fingerprint": "x", "deactivated_at": None, "created_at": "x",
    },
    "/api/integrations": {
        "id": 1, "user_id": 1, "kind": "mailto", "target": "x", "circuit": "closed",
        "fail_streak": 0, "url_fingerprint": "x", "last_delivery_at": None,
    },
}  # fmt: skip
GOOD = {
    "/api/events": ("POST", {"name": "Tea", "start_date": "2099-01-01T00:00:00Z"}),
    "/api/users/me": ("PATCH", {"name": "Anna"}),
    "/api/integrations": (
        "POST",
        {"name": "a", "tag": "b", "apprise_url": "json://h.example/", "verify": False},
    ),
}


@pytest.mark.parametrize(
    ("path", "field"), [(path, field) for path, fields in READ_ONLY.items() for field in fields]
)
async def test_no_request_sets_what_only_we_set(site: Site, path: str, field: str) -> None:
    visitor = await site.member("anna")
    method, good = GOOD[path]
    body = good | {field: READ_ONLY[path][field]}
    answer = await visitor.client.request(method, path, json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
