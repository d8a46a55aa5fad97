"""The inboxes of the demo's users: caught mail, and a webhook on loopback."""

from __future__ import annotations

import html
import json
import re
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import httpx2

T = TypeVar("T")
_ENTRY = re.compile(r'href="/dev/mail/([^"/]+\.eml)"[^>]*>([^<]*)<')
_HREF = re.compile(r'href="([^"]+)"')


class NotArrived(Exception):
    """Something did not arrive in time; `str` says what."""


class Inbox(Protocol):
    """A channel one user is notified through."""

    @property
    def name(self) -> str: ...

    def titles(self) -> list[str]:
        """Return what arrived, newest first."""
        ...


class MailInbox:
    """The mails to an address, read from the development mail page."""

    def __init__(self, client: httpx2.Client, address: str) -> None:
        self._client = client
        self.name = f"mail to {address}"
        self._address = address

    def titles(self) -> list[str]:
        return [subject for _, subject in self._entries()]

    def links(self, title: str, containing: str) -> list[str]:
        """Return the links containing this text in the newest mail with this subject."""
        name = next(name for name, subject in self._entries() if title in subject)
        page = self._client.get(f"/dev/mail/{name}/html").raise_for_status().text
        found = [html.unescape(link) for link in _HREF.findall(page)]
        return [link for link in found if containing in link]

    def _entries(self) -> list[tuple[str, str]]:
        page = self._client.get(f"/dev/mail?query={quote(self._address)}").raise_for_status().text
        return [(name, html.unescape(subject).strip()) for name, subject in _ENTRY.findall(page)]


class HookInbox:
    """The demo's own webhook, with everything that was POSTed to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.name = f"webhook at 127.0.0.1:{port}"
        self.bodies: list[dict[str, Any]] = []

    @property
    def apprise_url(self) -> str:
        return f"json://127.0.0.1:{self.port}/demo"

    def titles(self) -> list[str]:
        return [str(body.get("title", "")) for body in reversed(self.bodies)]


@contextmanager
def webhook() -> Generator[HookInbox]:
    """Listen on a free port of loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            inbox.bodies.append(json.loads(self.rfile.read(length)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent: the demo's steps print what arrived."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    inbox = HookInbox(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()


def wait_for(find: Callable[[], T], seconds: float, what: str) -> T:
    """Return the first true result of `find`. Raise NotArrived after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        if time.monotonic() > deadline:
            raise NotArrived(f"{what} (waited {seconds:.0f} s)")
        time.sleep(0.05)
    return found
