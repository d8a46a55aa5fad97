"""HEAD: what GET would answer, without its body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse
from starlette.types import Message

from soonish.web.methods import HeadMiddleware


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
