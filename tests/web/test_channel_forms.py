"""The form of a service: a test keeps nothing, and nothing secret is lost on the way."""

from __future__ import annotations

from typing import Any

import pytest

from soonish.delivery.classify import told
from soonish.delivery.urls import check_url
from soonish.errors import InvalidInput
from soonish.i18n import Said
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


async def test_an_error_of_the_host_stands_at_the_host(site: Site):
    bo = await site.member("bo")
    for host in ("169.254.169.254", "a..b", "two words"):
        for action in ("json", "json/test"):
            refused = await bo.post(f"/integrations/new/{action}", **NAMED, **{"f-host": host})
            assert refused.status_code == 422
            assert 'id="f-host-error"' in refused.text, host


async def test_a_whole_address_reaches_its_path(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    address = f"http://127.0.0.1:{http_sink.port}/hooks/7?key=abc"
    await bo.follow(await bo.post("/integrations/new/json", **NAMED, **{"f-host": address}))
    sent = http_sink.requests[-1]
    assert (sent.path, sent.query) == ("/hooks/7", {"key": ["abc"]})


@pytest.mark.parametrize(
    "url", ["json://a..b", "json://10.0.0.1", "file://x", "nonsense://x", "x", "json://h/?retry=5"]
)
def test_what_is_wrong_with_a_url_is_marked_for_translation(site: Site, url: str):
    with pytest.raises(InvalidInput) as caught:
        check_url(url, site.parts.settings.model_copy(update={"egress_allowed_networks": []}))
    assert isinstance(caught.value.errors[0].message, Said)


@pytest.mark.parametrize(
    "detail",
    [
        "The service answered 404",
        "The service answered 200 but refused the message",
        "The mail server answered 550",
    ],
)
def test_a_kept_reason_is_a_text_of_the_catalogue(detail: str):
    said = told(detail)
    assert isinstance(said, Said)
    assert said == detail
    assert "%(status)s" in said.message
