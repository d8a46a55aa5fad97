"""A real HTTP server in threads that records requests and answers as a test wants."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.wait import wait_for


@dataclass(frozen=True)
class Reply:
    """How to answer: after `delay` s; `drip` s between single bytes of the body; `hang` never."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    drip: float = 0.0
    hang: bool = False
    drop: bool = False  # close the connection without an answer


@dataclass(frozen=True)
class ReceivedRequest:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    at: float  # monotonic seconds

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class HttpSink:
    """`replies[path]` (or `default`) answers; a list is used up one by one, its last one stays."""

    port: int
    requests: list[ReceivedRequest] = field(default_factory=list[ReceivedRequest])
    default: Reply = field(default_factory=Reply)
    replies: dict[str, Reply | list[Reply]] = field(
        default_factory=dict[str, "Reply | list[Reply]"]
    )
    connections: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def apprise_url(self, path: str = "/hook") -> str:
        """An Apprise URL whose plugin POSTs JSON to this sink's `path`."""
        return f"json://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[ReceivedRequest]:
        return [request for request in self.requests if request.path == path]

    def wait_for(self, count: int, path: str = "", seconds: float = 10.0) -> list[ReceivedRequest]:
        """Wait until `count` requests (of that path, if given) are here; return them."""

        def got() -> list[ReceivedRequest]:
            return self.at(path) if path else list(self.requests)

        wait_for(lambda: len(got()) >= count, seconds, f"{count} requests at {path or 'any path'}")
        return got()

    def reply_to(self, path: str) -> Reply:
        reply = self.replies.get(path, self.default)
        if isinstance(reply, list):
            return reply.pop(0) if len(reply) > 1 else reply[0]
        return reply


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:
        super().setup()
        self.server.sink.connections += 1

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()
            return
        self.close_connection = True

    def _answer(self) -> None:
        sink = self.server.sink
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # whoever asked died in the middle: nothing has arrived
            self.close_connection = True
            return
        parts = urlsplit(self.path)
        with self.server.lock:
            sink.requests.append(
                ReceivedRequest(
                    method=self.command,
                    path=parts.path,
                    query=parse_qs(parts.query, keep_blank_values=True),
                    headers={key.lower(): value for key, value in self.headers.items()},
                    body=body,
                    at=time.monotonic(),
                )
            )
            reply = sink.reply_to(parts.path)
        self._send(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer

    def _send(self, reply: Reply) -> None:
        closing = self.server.sink.closing
        if reply.hang:
            closing.wait()
        if reply.hang or reply.drop or closing.wait(reply.delay):
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        step = 1 if reply.drip else max(1, len(reply.body))
        for start in range(0, len(reply.body), step):
            self.wfile.write(reply.body[start : start + step])
            if closing.wait(reply.drip):
                return

    def log_message(self, format: str, *args: Any) -> None:
        """The record is what tests look at."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sink = HttpSink(self.server_port)
        self.lock = threading.Lock()


@contextlib.contextmanager
def serve_http() -> Generator[HttpSink]:
    """Run a sink on a free port of loopback."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="http-sink")
    thread.start()
    try:
        yield server.sink
    finally:
        server.sink.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
