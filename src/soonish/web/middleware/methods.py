"""HTTP methods of every address (RFC 9110): HEAD for each GET, and `Allow` with a 405.

Reloading an address that only takes forms redirects to the page above it.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class HeadMiddleware:
    """Answers HEAD as GET without the body, for link previews and monitors."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            await self.app({**scope, "method": "GET"}, receive, _without_body(send))
        else:
            await self.app(scope, receive, send)


def _without_body(send: Send) -> Send:
    ended = False

    async def headers_only(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended:
            ended = True  # a streaming server learns of the end from its `receive`
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return headers_only


def allowed_methods(request: Request) -> str:
    """Return the value of `Allow` for the request's address."""
    routes: list[BaseRoute] = request.app.routes
    found = [
        method
        for method in _METHODS
        if any(_takes(route, {**request.scope, "method": method}) for route in routes)
    ]
    return ", ".join(["HEAD", *found] if "GET" in found else found)


def page_above(request: Request) -> str | None:
    """Return the nearest parent address that has a page; None without one."""
    path = request.url.path.rpartition("/")[0]
    while path and not _has_page(request, path):
        path = path.rpartition("/")[0]
    return path or None


def _has_page(request: Request, path: str) -> bool:
    routes: list[BaseRoute] = request.app.routes
    scope = {**request.scope, "method": "GET", "path": path}
    return any(_takes(route, scope) for route in routes)


def _takes(route: BaseRoute, scope: Scope) -> bool:
    return route.matches(scope)[0] is Match.FULL
