"""The form of a service: a test keeps nothing, and nothing secret is lost on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from soonish.delivery.channels.health import ChannelResult, record_failures, record_success
from soonish.delivery.transports.apprise.urls import check_url
from soonish.delivery.transports.classify import translatable
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.errors import InvalidInput
from soonish.i18n import LazyText
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.types import utc_now
from tests.support.http_sink import HttpSink, Reply
from tests.web.site import Site, Visitor, text_of

NAMED: dict[str, Any] = {"name": "Hook", "tag": "work"}
AT_NO_PORT: dict[str, Any] = {"f-port": "0"}
SECRET: dict[str, Any] = {"f-user": "ana", "f-password": "correct horse"}


def place(sink: HttpSink) -> dict[str, Any]:
    return {"f-host": "127.0.0.1", "f-port": sink.port, "encrypted": "0"}


async def test_a_test_with_javascript_leaves_the_form_alone(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    values = NAMED | SECRET | place(http_sink)
    tried = await bo.post("/integrations/new/json/test", htmx=True, **values)
    assert "was accepted" in text_of(tried)
    assert "<form" not in tried.text
    assert http_sink.requests[-1].headers["authorization"].startswith("Basic ")
    wrong = await bo.post("/integrations/new/json/test", htmx=True, **AT_NO_PORT)
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
    wrong = await bo.post("/integrations/new/json", **(values | AT_NO_PORT))
    assert "Please enter this again." in await add_without_password(bo, values, wrong.text)
    assert await site.rows(Integration) == []
    await bo.follow(await bo.post("/integrations/new/json", **values, again="f-password"))
    (row,) = await site.rows(Integration)
    assert row.apprise_url == f"json://ana:correct%20horse@127.0.0.1:{http_sink.port}"


async def test_only_hidden_fields_are_asked_for_again(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    values = NAMED | place(http_sink)
    await bo.follow(await bo.post("/integrations/new/json", **values, again="f-user"))
    assert len(await site.rows(Integration)) == 1


async def test_an_error_of_the_host_stands_at_the_host(site: Site):
    bo = await site.member("bo")
    for host in ("169.254.169.254", "a..b", "two words"):
        values = NAMED | {"f-host": host}
        for action in ("json", "json/test"):
            refused = await bo.post(f"/integrations/new/{action}", **values)
            assert refused.status_code == 422
            assert 'id="f-host-error"' in refused.text, host


async def test_a_whole_address_reaches_its_path(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    address = f"http://127.0.0.1:{http_sink.port}/hooks/7?key=abc"
    values = NAMED | {"f-host": address}
    await bo.follow(await bo.post("/integrations/new/json", **values))
    sent = http_sink.requests[-1]
    assert (sent.path, sent.query) == ("/hooks/7", {"key": ["abc"]})


@pytest.mark.parametrize(
    "url", ["json://a..b", "json://10.0.0.1", "file://x", "nonsense://x", "x", "json://h/?retry=5"]
)
def test_what_is_wrong_with_a_url_is_marked_for_translation(site: Site, url: str):
    with pytest.raises(InvalidInput) as caught:
        check_url(url, site.runtime.settings.model_copy(update={"egress_allowed_networks": []}))
    assert isinstance(caught.value.errors[0].message, LazyText)


@pytest.mark.parametrize(
    "detail",
    [
        "The service answered 404",
        "The service answered 200 but refused the message",
        "The mail server answered 550",
    ],
)
def test_a_kept_reason_is_a_text_of_the_catalogue(detail: str):
    said = translatable(detail)
    assert isinstance(said, LazyText)
    assert said == detail
    assert "%(status)s" in said.message


async def card_of(bo: Visitor) -> str:
    return text_of(await bo.get("/integrations"))


async def test_a_channel_says_why_its_test_failed(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    http_sink.default = Reply(404)
    added = await bo.post("/integrations/new/json", **NAMED, **place(http_sink))
    shown = text_of(await bo.follow(added))
    assert "switched off" in shown
    assert "The last message did not arrive: The service answered 404." in shown
    (row,) = await site.rows(Integration)
    await bo.post(f"/integrations/{row.id}/switch", is_active="1")
    shown = await card_of(bo)
    assert "Not tried yet" in shown
    assert "Working" not in shown
    assert "did not arrive" not in shown
    await bo.post(f"/integrations/{row.id}/test")
    assert "The service answered 404." in await card_of(bo)
    http_sink.default = Reply()
    await bo.post(f"/integrations/{row.id}/test")
    shown = await card_of(bo)
    assert "Working" in shown
    assert "404" not in shown


async def test_a_failing_channel_says_since_when_and_why(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    await bo.post("/integrations/new/json", **NAMED, **place(http_sink))
    (row,) = await site.rows(Integration)
    gone = SendResult(Outcome.REJECTED, "The service answered 410", 410)
    async with site.runtime.db.write() as session:
        failed = [ChannelResult(row.id, gone)]
        await record_failures(session, failed, utc_now() - timedelta(days=2))
    shown = await card_of(bo)
    assert "Failing since 2 days ago" in shown
    assert "The last message did not arrive: The service answered 410." in shown
    async with site.runtime.db.write() as session:
        await record_success(session, [row.id], utc_now())
    assert "410" not in await card_of(bo)
