"""The form of a service: a test keeps nothing, and nothing secret is lost on the way."""

from __future__ import annotations

from typing import Any

from soonish.integrations.models import Integration
from tests.support.http_sink import HttpSink
from tests.web.site import Site, Visitor, text_of

NAMED = {"name": "Hook", "tag": "work"}
SECRET = {"f-user": "ana", "f-password": "correct horse"}


def place(sink: HttpSink) -> dict[str, Any]:
    return {"f-host": "127.0.0.1", "f-port": sink.port, "encrypted": "0"}


async def test_a_test_with_javascript_leaves_the_form_alone(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    values = NAMED | SECRET | place(http_sink)
    tried = await bo.post("/integrations/new/json/test", htmx=True, **values)
    assert "was accepted" in text_of(tried)
    assert "<form" not in tried.text
    assert http_sink.requests[-1].headers["authorization"].startswith("Basic ")
    wrong = await bo.post("/integrations/new/json/test", htmx=True, **{"f-port": "0"})
    assert wrong.status_code == 422
    assert 'href="#f-host"' in wrong.text
    assert 'href="#f-port"' in wrong.text


async def add_without_password(bo: Visitor, values: dict[str, Any], page: str) -> str:
    """What the site says to the form of that page, sent with an empty password."""
    assert 'name="again" value="f-password"' in page
    assert "correct horse" not in page
    values = values | {"f-password": "", "again": "f-password"}
    answer = await bo.post("/integrations/new/json", **values)
    assert answer.status_code == 422
    return answer.text


async def test_a_password_that_a_page_lost_is_asked_for_again(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    values = NAMED | SECRET | place(http_sink)
    tried = await bo.post("/integrations/new/json/test", **values)
    assert "was accepted" in text_of(tried)
    refused = await add_without_password(bo, values, tried.text)
    assert "Please enter this again." in refused
    assert 'id="f-password-error"' in refused
    wrong = await bo.post("/integrations/new/json", **(values | {"f-port": "0"}))
    assert "Please enter this again." in await add_without_password(bo, values, wrong.text)
    assert await site.rows(Integration) == []
    await bo.follow(await bo.post("/integrations/new/json", **values, again="f-password"))
    (row,) = await site.rows(Integration)
    assert row.apprise_url == f"json://ana:correct%20horse@127.0.0.1:{http_sink.port}"


async def test_only_hidden_fields_are_asked_for_again(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    values = NAMED | place(http_sink) | {"again": "f-user"}
    await bo.follow(await bo.post("/integrations/new/json", **values))
    assert len(await site.rows(Integration)) == 1
