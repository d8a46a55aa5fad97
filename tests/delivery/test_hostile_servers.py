"""Servers that answer with malice: endless, huge, early, late, and for somebody else."""

from __future__ import annotations

import asyncio
import gzip
import resource
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress

import pytest

from soonish.delivery.transports import attempt
from soonish.delivery.transports.http.connections import ANSWER_LIMIT
from soonish.delivery.transports.http.retry_after import parse_retry_after, requested_wait
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.outcome import Outcome
from soonish.delivery.transports.sender import Sender
from tests.delivery.hostile import shapes
from tests.delivery.sending import send_many
from tests.delivery.test_hostile_addresses import BY_HOST, usable
from tests.support.http_sink import HttpSink, Reply, serve_http

pytestmark = pytest.mark.processes

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LATE = b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"v": 1}\n'


Answer = bytes | Iterable[bytes]


class Raw:
    """A server of scripted answers: each connection takes its turn in `scripts`.

    A script is a list of answers, one per request. `requests` holds what came, with the number
    of its connection.
    """

    def __init__(self, scripts: Sequence[list[Answer]]) -> None:
        self.scripts = scripts
        self._peers: list[socket.socket] = []
        self.requests: list[tuple[int, bytes]] = []
        self.sent = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            self._peers.append(peer)
            script = self.scripts[min(number, len(self.scripts) - 1)]
            thread = threading.Thread(target=self._serve, args=(peer, number, script))
            self._threads.append(thread)
            thread.start()
            number += 1

    def _serve(self, peer: socket.socket, number: int, script: list[Answer]) -> None:
        with peer, suppress(OSError):
            for answer in script:
                request = _read_request(peer)
                if not request:
                    return
                self.requests.append((number, request))
                for part in [answer] if isinstance(answer, bytes) else answer:
                    peer.sendall(part)
                    self.sent += len(part)
            peer.recv(1)  # until one of the sides closes

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for peer in self._peers:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(20)


def _read_request(peer: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = peer.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    length = int(lines[0].split(b":")[1]) if lines else 0
    while len(body) < length:
        body += peer.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(*scripts: list[Answer]) -> Generator[Raw]:
    server = Raw(scripts)
    try:
        yield server
    finally:
        server.close()


def endless(part: bytes, first: bytes = b"") -> Generator[bytes]:
    yield first
    while True:
        yield part


@pytest.mark.parametrize(
    ("first", "part"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 100),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\n", b"X-Bomb: " + b"x" * 60_000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"T: t\r\n" * 1000),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1;" + b"x" * 60_000 + b"\r\na\r\n",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 60_000),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 60_000),
        (b"", b"x" * 60_000),
    ],
    ids=["100", "103", "long-header", "headers", "trailers", "chunks", "body", "length", "noise"],
)
async def test_an_endless_answer_is_cut_at_once(
    first: bytes, part: bytes, sender: Sender, message: Message
):
    with serving([endless(part, first)]) as server:
        started = time.monotonic()
        await sender.send(f"json://127.0.0.1:{server.port}/x", message)
        assert time.monotonic() - started < 5
        assert len(server.requests) == 1  # and is not asked again
    assert server.sent < ANSWER_LIMIT + 12_000_000  # what the sockets' buffers took


async def test_a_gzip_bomb_stays_packed(sender: Sender, message: Message, http_sink: HttpSink):
    bomb = gzip.compress(b"\0" * 60_000_000)
    assert len(bomb) < 64 * 1024
    http_sink.default = Reply(429, bomb, {"Content-Encoding": "gzip", "Retry-After": "7"})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = await send_many(sender, [(http_sink.apprise_url(f"/{n}"), message) for n in range(8)])
    assert {(r.outcome, r.retry_after) for r in results} == {(Outcome.RATE_LIMITED, 7.0)}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "zlib", "rot13", "undefined"])
async def test_the_other_side_chooses_no_codec(
    charset: str, sender: Sender, message: Message, monkeypatch: pytest.MonkeyPatch
):
    """requests' `text` decodes 64 KiB of punycode for seconds, and guesses for as long."""
    from soonish.delivery.transports.http import client

    seen: list[str | None] = []
    stock = client._response  # pyright: ignore[reportPrivateUsage]

    def look(*args: object) -> object:
        response = stock(*args)  # pyright: ignore[reportArgumentType]
        seen.append(response.encoding)
        assert len(response.text) > 1000
        return response

    monkeypatch.setattr(client, "_response", look)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/x; charset={charset}\r\n"
    body = b"a-" + b"zz9" * 20_000
    answer = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with serving([answer]) as server:
        assert (await sender.send(f"json://127.0.0.1:{server.port}/x", message)).ok
    assert seen == ["utf-8"]


@pytest.mark.parametrize("status", ["102 Processing", "103 Early Hints", "199 Whatever"])
async def test_an_interim_answer_is_not_taken_for_the_answer(
    status: str, sender: Sender, message: Message
):
    """Else the final one would be the answer to whoever uses the connection next."""
    interim = f"HTTP/1.1 {status}\r\nLink: </x>\r\n\r\n".encode()
    refusal = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    with serving([interim + OK, interim * 2 + refusal], [OK]) as server:
        url = f"json://127.0.0.1:{server.port}/x"
        assert (await sender.send(url, message)).ok
        second = await sender.send(url, message)
    assert (second.outcome, second.status) == (Outcome.REJECTED, 500)
    assert [number for number, _ in server.requests] == [0, 0]


async def test_a_switched_protocol_ends_the_connection(sender: Sender, message: Message):
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"
    with serving([switch], [OK]) as server:
        url = f"json://127.0.0.1:{server.port}/x"
        assert not (await sender.send(url, message)).ok
        assert (await sender.send(url, message)).ok
    assert [number for number, _ in server.requests] == [0, 1]


async def test_what_nobody_asked_for_is_nobodys_answer(sender: Sender, message: Message):
    """A server sends a second answer ahead; the next sender on the connection must not get it."""
    with serving([OK + LATE], [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"]) as server:
        url = f"json://127.0.0.1:{server.port}/x"
        assert (await sender.send(url, message)).ok
        second = await sender.send(url, message)
    assert second.ok is False
    assert len(server.requests) >= 1


async def test_garbage_for_an_answer_is_not_asked_again(sender: Sender, message: Message):
    with serving([OK, b"SSH-2.0-x\r\n\r\n"], [OK]) as server:
        url = f"json://127.0.0.1:{server.port}/x"
        assert (await sender.send(url, message)).ok
        second = await sender.send(url, message)
    assert (second.outcome, second.retryable) == (Outcome.CONNECTION, True)
    assert len(server.requests) == 2


async def test_two_users_of_one_host_share_a_connection_and_nothing_else(
    sender: Sender, message: Message, http_sink: HttpSink
):
    """Credentials, headers, cookies and answers stay with the request they belong to."""
    http_sink.replies["/alice"] = Reply(200, headers={"Set-Cookie": "session=alice; Path=/"})
    http_sink.replies["/bob"] = Reply(500)
    host = f"127.0.0.1:{http_sink.port}"
    alice = f"json://alice:wonder@{host}/alice?+X-Key=alices&-a=1&:extra=alices"
    bob = f"json://{host}/bob"
    for _ in range(5):
        assert (await sender.send(alice, message)).ok
        assert (await sender.send(bob, message)).status == 500
    assert http_sink.connections == 1
    for request in http_sink.at("/bob"):
        text = repr(request.headers) + repr(request.query) + request.body.decode()
        assert "alice" not in text
        assert "authorization" not in request.headers
        assert "cookie" not in request.headers


async def test_many_users_at_once_get_their_own_answers(
    sender: Sender, message: Message, http_sink: HttpSink
):
    for n in range(200):
        status = 200 if n % 2 else 400 + n % 100
        http_sink.replies[f"/{n}"] = Reply(status, headers={"Connection": "keep-alive"})
    items = [(http_sink.apprise_url(f"/{n}"), message) for n in range(200)]
    results = await send_many(sender, items)
    for n, result in enumerate(results):
        assert result.ok if n % 2 else result.status in (None, 400 + n % 100)


INJECTIONS = [
    "+X-A=a%250d%250aX-B:%20b", "+X-A=a%25250aX-B:b", "+X-A%250d%250aX-B=b", "+X-A%20=b",
    "+Transfer-Encoding%20=chunked", "+%20Transfer-Encoding=chunked", "+Content-Length%09=0",
    "+X-A=a%250d%250a%20folded", "+X%3AY=b", "+X-A=%2500", "+%C4%B0=x", "+X-A=%E2%80%A8x",
    "+TE=trailers", "+connection=close", "+Cookie=a=b", "+Keep-Alive=x", "+upgrade=h2c",
    "+Content-Length=5&+content-length=6", "+HOST=internal", "+Expect=100-continue", "+=x",
    "+%20=x",
]  # fmt: skip


@pytest.mark.parametrize("argument", INJECTIONS)
@pytest.mark.parametrize("scheme", ["json", "xml", "form", "apprise", "pagertree"])
async def test_headers_cannot_be_smuggled(
    argument: str, scheme: str, sender: Sender, message: Message, http_sink: HttpSink
):
    url = f"{scheme}://127.0.0.1:{http_sink.port}/token1234567?{argument}"
    await sender.send(url, message)
    await sender.send(http_sink.apprise_url("/after"), message)
    assert len(http_sink.at("/after")) == 1
    assert len(http_sink.requests) <= 2
    for request in http_sink.requests:
        names = set(request.headers)
        assert not names & {"x-b", "transfer-encoding", "cookie", "te", "upgrade", "expect"}
        assert request.headers["host"] == f"127.0.0.1:{http_sink.port}"
        assert request.headers["content-length"] == str(len(request.body))


PATHS = [
    "/a%250d%250aHost:%20x", "/a%2500b", "/a%20HTTP/1.1", "//other.example/x", "/..%2f..%2fadmin",
    "/\\other.example/x", "/a%23b", "/ü/日本", "/%F0%9F%98%80", "/a?-x=%250d%250aX:y",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scheme", ["json", "form", "xml"])
async def test_paths_stay_in_the_request_line(
    path: str, scheme: str, sender: Sender, message: Message
):
    with serving([OK]) as server:
        await sender.send(f"{scheme}://127.0.0.1:{server.port}{path}", message)
    for _, request in server.requests:
        lines = request.split(b"\r\n\r\n")[0].split(b"\r\n")
        assert lines[0].startswith(b"POST /")
        assert lines[0].count(b" ") == 2
        assert b"\n" not in request.split(b"\r\n\r\n")[0].replace(b"\r\n", b"")
        hosts = [line for line in lines if line.lower().startswith(b"host:")]
        assert hosts == [b"Host: 127.0.0.1:%d" % server.port]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_scheme_follows_a_redirect(
    status: int, sender: Sender, message: Message, http_sink: HttpSink
):
    """From an allowed listener to another one, and to the metadata service."""
    with serve_http() as other:
        for location in (f"{other.url}/stolen", "http://169.254.169.254/latest", "//[::1]/"):
            http_sink.default = Reply(status, headers={"Location": location, "Refresh": "0"})
            urls = [usable(s)[-1].format(f"127.0.0.1:{http_sink.port}") for s in BY_HOST]
            await send_many(sender, [(url, message) for url in urls if "smtp=" not in url])
        assert len(http_sink.requests) > 50
        assert other.connections == 0


def _smtp(port: int) -> str:
    return shapes("mailto")[0].format(f"127.0.0.1:{port}")


@contextmanager
def talking(*writes: Iterable[bytes]) -> Generator[tuple[int, list[int]]]:
    """A mail server that speaks without listening; yields its port and how much it could send."""
    sent = [0]

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            peer, _ = listener.accept()
            with peer:
                for parts in writes:
                    for part in parts:
                        peer.sendall(part)
                        sent[0] += len(part)
                    peer.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1], sent
        thread.join(20)


@pytest.mark.parametrize(
    "writes",
    [
        [endless(b"220-" + b"x" * 1000 + b"\r\n")],
        [[b"220 hi\r\n"], endless(b"250-" + b"x" * 1000 + b"\r\n")],
        [endless(b"x" * 1000)],
    ],
    ids=["greeting", "ehlo", "no-line"],
)
async def test_a_mail_server_that_never_stops_talking(
    writes: list[Iterable[bytes]], sender: Sender, message: Message
):
    with talking(*writes) as (port, sent):
        started = time.monotonic()
        result = await sender.send(_smtp(port), message)
        assert time.monotonic() - started < 5
    assert not result.ok
    assert sent[0] < 12_000_000


@pytest.mark.parametrize("writes", [[], [[b"220 hi\r\n"]], [[b"220 hi\r\n"], [b"250 hi\r\n"]]])
async def test_a_mail_server_that_goes_away_may_be_tried_again(
    writes: list[Iterable[bytes]], sender: Sender, message: Message
):
    with talking(*writes) as (port, _):
        result = await sender.send(_smtp(port), message)
    assert (result.outcome, result.retryable) == (Outcome.CONNECTION, True)


async def test_a_mail_server_that_says_nothing(
    sender: Sender, message: Message, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempt, "ATTEMPT_SECONDS", 1.0)
    with talking([b"220 hi\r\n"], [b""]) as (port, _):
        result = await sender.send(_smtp(port), message)
    assert (result.outcome, result.retryable) == (Outcome.TIMEOUT, True)


@pytest.mark.parametrize(
    "body",
    [b"[" * 60_000, b'{"retry_after":' * 4000, b'{"retry_after": 1' + b"0" * 500 + b"}",
     b'{"retry_after": NaN}', b'{"retry_after": true}', b'{"retry_after": "5"}', b"\xff\xfe\0"],
)  # fmt: skip
def test_bodies_that_ask_to_wait_in_strange_ways(body: bytes):
    wait = requested_wait(lambda name: None, body)
    assert wait is None or 0 <= wait <= 86_400


@pytest.mark.parametrize(
    "value",
    ["1e999", "-1e999", "nan", "Mon, 99 Foo 99999 99:99:99 GMT", "9" * 5000,
     "1 Jan 0001 00:00:00 Z", "Mon, 23 Nov 2026 08:00:00 +99999999",
     "Fri, 31 Dec 9999 23:59:59 -2359", "\x00", "-5"],
)  # fmt: skip
def test_retry_after_in_strange_ways(value: str):
    wait = parse_retry_after(value)
    assert wait is None or 0 <= wait <= 86_400


async def test_hostile_and_healthy_servers_together(
    sender: Sender, message: Message, http_sink: HttpSink, free_port: Callable[[], int]
):
    """What one target does to its own attempt, it does to no other's."""
    with serving([endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)]) as server:
        bad = (f"json://127.0.0.1:{server.port}/x", message)
        good = (http_sink.apprise_url("/good"), message)
        results = await asyncio.wait_for(send_many(sender, [bad, good] * 20), 30)
    assert all(r.ok for r in results[1::2])
    assert not any(r.ok for r in results[0::2])
