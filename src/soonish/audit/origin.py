"""Where what is done now comes from: a request's client, or the operator's command line.

Kept for the task that does it, so that no service has to pass it on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from soonish.accounts.clients import client_address
from soonish.config import Settings

CLI = "cli"
_CLIENT_LENGTH = 64


class Origin:
    """`client()` is the network address that asks, None where it is no request.

    `source` is told in the entries' details, where it is not simply the API or a page.
    """

    def __init__(self, find: Callable[[], str] | None = None, source: str | None = None) -> None:
        self._find = find
        self.source = source

    def client(self) -> str | None:
        return (self._find()[:_CLIENT_LENGTH] or None) if self._find else None


_NOWHERE = Origin()
_current: ContextVar[Origin] = ContextVar("audit_origin", default=_NOWHERE)


def current() -> Origin:
    return _current.get()


@contextmanager
def coming_from(origin: Origin) -> Generator[None]:
    """What the block does is recorded with this origin."""
    token = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(token)


class OriginMiddleware:
    """Every request's origin is its client; the address is worked out where an entry needs it."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        origin = Origin(lambda: client_address(HTTPConnection(scope), self._settings))
        with coming_from(origin):
            await self.app(scope, receive, send)
