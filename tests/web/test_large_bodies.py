"""A client that posts too much reads why, over a real connection, whatever it posts with."""

from __future__ import annotations

import asyncio
import http.client
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import requests
import uvicorn
from starlette.types import ASGIApp

from soonish.app import create_app
from soonish.web.middleware.lingering_close import LingeringClose
from tests.browser.serving import serve
from tests.support.settings import make_settings
from tests.web.conftest import BASE, make_app

MIB = 1024 * 1024
SIZES = [(2 * MIB, 15), (20 * MIB, 4)]  # and how often: a reset came now and then only


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncGenerator[str]:
    """Serve as `soonish api` does; gives the address of a route that takes any body."""
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    async with serve(config) as url:
        yield f"{url}/api/events"


@pytest.fixture
async def url(tmp_path: Path) -> AsyncGenerator[str]:
    app = create_app(make_settings(tmp_path))
    async with served(app) as address:
        yield address
    await app.state.progress.close()
    await app.state.soonish.close()


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 65536):
        yield b"x" * 65536


def with_httpx(url: str, size: int) -> int:
    return httpx2.post(url, content=b"x" * size, timeout=20).status_code


def with_httpx_in_chunks(url: str, size: int) -> int:
    return httpx2.post(url, content=chunks(size), timeout=20).status_code


def with_requests(url: str, size: int) -> int:
    return requests.post(url, data=b"x" * size, timeout=20).status_code


def with_requests_in_chunks(url: str, size: int) -> int:
    return requests.post(url, data=chunks(size), timeout=20).status_code


def with_http_client(url: str, size: int) -> int:
    """It sends everything before it reads anything, and takes no broken pipe."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("POST", "/api/events", b"x" * size)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def with_a_client_that_reads_late(url: str, size: int) -> int:
    """Where a reset came first, it finds no answer: this one fails each time without the care."""
    host, _, port = urlsplit(url).netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"POST /api/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode() + b"x" * size)
        time.sleep(0.05)
        answer = connection.makefile("rb").read()
    return int(answer.split()[1])


def with_curl(url: str, size: int, *options: str) -> int:
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *options]
    done = subprocess.run(
        [*command, "--data-binary", "@-", url],
        input=b"x" * size,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def with_curl_that_expects(url: str, size: int) -> int:
    return with_curl(url, size, "-H", "Expect: 100-continue")


def with_curl_in_chunks(url: str, size: int) -> int:
    return with_curl(url, size, "-H", "Transfer-Encoding: chunked", "-H", "Expect:")


@pytest.mark.parametrize(("size", "times"), SIZES)
@pytest.mark.parametrize(
    "post",
    [
        with_httpx,
        with_httpx_in_chunks,
        with_requests,
        with_requests_in_chunks,
        with_http_client,
        with_a_client_that_reads_late,
        with_curl,
        with_curl_that_expects,
        with_curl_in_chunks,
    ],
)
async def test_the_413_is_read_each_time(
    url: str, post: Callable[[str, int], int], size: int, times: int
) -> None:
    for _ in range(times):
        assert await asyncio.to_thread(post, url, size) == 413


async def test_the_answer_does_not_wait_for_the_body(url: str) -> None:
    """It is complete while the client has sent nothing but the head of its request."""
    reader, writer = await open_post(url, b"Content-Length: 2000000\r\nExpect: 100-continue")
    answer = await asyncio.wait_for(reader.readuntil(b"}"), 5)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    writer.close()


async def open_post(url: str, headers: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = urlsplit(url).netloc.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/events HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n\r\n")
    return reader, writer


async def seconds_until_cut_off(url: str, piece: bytes, pause: float) -> float:
    """How long we may go on sending after the answer, at most five seconds."""
    reader, writer = await open_post(url, b"Content-Length: 999000000")
    await reader.readuntil(b"}")
    started = time.monotonic()
    ended = asyncio.create_task(reader.read())
    try:
        async with asyncio.timeout(5):
            while not ended.done():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
    except ConnectionError:
        ended.add_done_callback(lambda task: task.exception())
    writer.close()
    return time.monotonic() - started


@pytest.mark.parametrize(
    ("bounds", "piece", "pause"),
    [
        ({"seconds": 0.5}, b"x", 0.05),
        ({"idle_seconds": 0.5}, b"", 0.05),
        ({"max_bytes": 4 * MIB}, b"x" * 65536, 0.001),
    ],
)
async def test_who_never_stops_is_cut_off(
    bounds: dict[str, float], piece: bytes, pause: float
) -> None:
    app = LingeringClose(make_app(BASE), **bounds)  # pyright: ignore[reportArgumentType]
    async with served(app) as url:
        assert await seconds_until_cut_off(url, piece, pause) < 4
