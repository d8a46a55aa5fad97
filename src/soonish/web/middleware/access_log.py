"""Request ids, and one log line and one measurement per request, by route template."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soonish.ops.log_files import REQUESTS
from soonish.ops.metrics import request_seconds, requests_total

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ROW_ID = re.compile(r"[0-9]{1,19}")
log = structlog.get_logger(REQUESTS)


def route_template(scope: Scope) -> str:
    """Return the matched route's template, never the path: paths hold tokens."""
    route = scope.get("route")
    return str(getattr(route, "path", "")) or "unmatched"


class AccessLog:
    """Outermost middleware: binds `request_id` for all log lines and returns it in a header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status, started = 500, time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                headers.append((b"x-request-id", request_id.encode()))
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            _note(scope, status, time.perf_counter() - started)


def _request_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    return given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex


def _note(scope: Scope, status: int, seconds: float) -> None:
    route, method = route_template(scope), scope["method"]
    requests_total.labels(method, route, status).inc()
    request_seconds.labels(method, route).observe(seconds)
    line = log.bind(event_id=event_id) if (event_id := _event_id(scope)) else log
    line.info(
        "request", method=method, route=route, status=status, duration_ms=round(seconds * 1000, 1)
    )


def _event_id(scope: Scope) -> int | None:
    given = str(scope.get("path_params", {}).get("event_id", ""))
    return int(given) if _ROW_ID.fullmatch(given) else None
