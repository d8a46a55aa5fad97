"""Audit context of every request: its origin, and refused writes."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soonish.config import Settings
from soonish.infra.audit import service as audit
from soonish.infra.audit.origin import Origin, recorded_as_from
from soonish.web.client_address import client_address

_REFUSALS = {403, 404}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_ROW_ID = re.compile(r"[0-9]{1,18}")


class OriginMiddleware:
    """Sets the client as the request's origin; its address is computed when an entry needs it.

    A signed-in user's refused write (403, 404) is recorded as denied after the response. Those of
    strangers are not: anybody could fill the log.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        origin = Origin(lambda: client_address(HTTPConnection(scope), self._settings))
        status = 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with recorded_as_from(origin):
            await self.app(scope, receive, send_and_note)
            refused = status in _REFUSALS and scope["method"] not in _SAFE_METHODS
            if refused and origin.actor_id is not None:
                await _record_refusal(scope, origin.actor_id, status)


async def _record_refusal(scope: Scope, actor_id: int, status: int) -> None:
    """Record the route's template, never the path: paths hold tokens.

    See docs/architecture.md#secrets.
    """
    route = str(getattr(scope.get("route"), "path", ""))
    async with scope["app"].state.soonish.db.write() as session:
        audit.record(
            session,
            "request.refused",
            actor_id,
            event_id=_event_id(scope.get("path_params", {})),
            outcome=audit.DENIED,
            method=scope["method"],
            route=route,
            status=status,
        )


def _event_id(parameters: dict[str, Any]) -> int | None:
    given = str(parameters.get("event_id", ""))
    return int(given) if _ROW_ID.fullmatch(given) else None
