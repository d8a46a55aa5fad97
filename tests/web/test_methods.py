"""HEAD: what GET would answer, without its body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse
from starlette.types import Message

from soonish.web.middleware.methods import HeadMiddleware
from tests.web.site import Site


@pytest.mark.parametrize("path", ["/page", "/api/items/7", "/nothing", "/api/fail/crash", "/page/"])
async def test_head_is_get_without_a_body(client: httpx2.AsyncClient, path: str):
    full, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (full.status_code, b"")
    assert head.headers.get("content-type") == full.headers.get("content-type")


async def test_head_is_not_for_what_has_no_get(client: httpx2.AsyncClient):
    answer = await client.head("/api/things")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_stream_ends_with_its_head():
    app = FastAPI()
    closed = asyncio.Event()

    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"data"
            await asyncio.sleep(0)

    app.add_api_route("/stream", lambda: StreamingResponse(forever()), response_model=None)
    app.add_middleware(HeadMiddleware)
    sent: list[Message] = []

    async def receive() -> Message:  # as a server does it
        await closed.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message["more_body"]:
            closed.set()

    scope = {
        "type": "http",
        "method": "HEAD",
        "path": "/stream",
        "headers": [],
        "query_string": b"",
    }
    await asyncio.wait_for(app(scope, receive, send), 10)
    assert [message.get("body") for message in sent] == [None, b""]


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("/integrations/new/json/test", "/integrations/new/json"),
        ("/integrations/7/test", "/integrations"),
        ("/e/picnic/subscribe", "/e/picnic"),
        ("/e/picnic/channels", "/e/picnic"),
        ("/e/picnic/remind-me/3/delete", "/e/picnic"),
        ("/events/7/review", "/events/7"),
        ("/events/7/compose", "/events/7"),
        ("/events/7/notify", "/events/7"),
        ("/events/7/subscribers/3/approve", "/events/7/subscribers"),
        *((f"/events/7/{name}", "/events/7/access") for name in ("invite", "add", "organizers")),
        ("/events/7/transfer", "/events/7/access"),
        ("/u/abc/confirmed", "/u/abc"),
        ("/manage/abc/leave", "/manage/abc"),
        ("/account/tokens", "/account"),
    ],
)
async def test_a_reload_of_an_answered_form_finds_its_page(site: Site, address: str, page: str):
    answer = await site.visitor().get(address)
    assert (answer.status_code, answer.headers["location"]) == (303, page)


async def test_only_browsers_are_led_to_the_page_above(site: Site):
    client = site.visitor().client
    answer = await client.get("/e/picnic/subscribe")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    answer = await client.get("/api/auth/login", headers={"accept": "text/html"})
    assert answer.status_code == 405
    answer = await client.put("/e/picnic/subscribe", headers={"accept": "text/html"})
    assert answer.status_code in (403, 405)
    assert (await site.visitor().get("/logout")).status_code == 405
