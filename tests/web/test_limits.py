"""Large bodies and unusable text never reach a route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from soonish.errors import InvalidInput
from soonish.web.middleware import body_limits
from soonish.web.middleware.body_limits import MAX_BODY_BYTES, check_text


async def _chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65536):
        yield b"x" * 65536


async def test_exactly_one_mebibyte_is_taken(client: httpx2.AsyncClient):
    response = await client.post("/api/echo", content=b"x" * MAX_BODY_BYTES)
    assert response.json() == MAX_BODY_BYTES


async def test_one_byte_more_is_413(client: httpx2.AsyncClient):
    response = await client.post("/api/echo", content=b"x" * (MAX_BODY_BYTES + 1))
    assert response.status_code == 413
    assert response.json()["code"] == "too_large"


async def test_a_streamed_body_is_counted(client: httpx2.AsyncClient):
    fits = await client.post("/api/echo", content=_chunks(MAX_BODY_BYTES))
    assert fits.json() == MAX_BODY_BYTES
    response = await client.post("/api/echo", content=_chunks(2 * MAX_BODY_BYTES))
    assert response.status_code == 413


async def test_a_body_that_never_ends_is_408(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    async def stalls() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    monkeypatch.setattr(body_limits, "BODY_SECONDS", 0.05)
    response = await client.post("/api/echo", content=stalls())
    assert (response.status_code, response.json()["code"]) == (408, "request_timeout")
    assert response.headers["connection"] == "close"


async def test_nul_in_query_and_form(client: httpx2.AsyncClient):
    query = await client.get("/api/items/1?query=a%00b")
    assert (query.status_code, query.json()["errors"][0]["field"]) == (422, "query")
    form = await client.post("/echo", data={"name": "a\0b"})
    assert (form.status_code, form.json()["errors"][0]["field"]) == (422, "name")


@pytest.mark.parametrize(
    "body", [rb'"\\u0000"', rb'{"a": "\ud83d\ude00"}', b"plain", b"a=%2500", b"", b"\xff\xfe"]
)
def test_harmless_text_passes(body: bytes):
    check_text(body)


@pytest.mark.parametrize("body", [rb'"\u0000"', rb'{"\u0000": 1}', rb'["\udc00"]', b"a=%00"])
def test_unusable_text_is_refused(body: bytes):
    with pytest.raises(InvalidInput) as caught:
        check_text(body)
    assert all(entry.field for entry in caught.value.errors)


@pytest.mark.parametrize(
    "body",
    [
        b'{"%s": [%s]}' % (b"k" * 100_000, b", ".join([rb'"\u0000"'] * 5_000)),
        b"[%s]" % b", ".join([rb'"\u0000"'] * 50_000),
        b"&".join(b"a%d=%%00" % number for number in range(50_000)),
    ],
)
async def test_an_answer_names_the_first_fields_only(client: httpx2.AsyncClient, body: bytes):
    response = await client.post("/api/echo", content=body)
    assert response.status_code == 422
    assert len(response.content) < 60_000
    assert 1 <= len(response.json()["errors"]) <= 100


def test_a_long_name_is_cut_wherever_it_stands(client: httpx2.AsyncClient):
    with pytest.raises(InvalidInput) as caught:
        check_text(b'{"%s": {"%s": "\\u0000"}}' % (b"a" * 1000, b"b" * 1000))
    assert [len(one.field) for one in caught.value.errors] == [200]
