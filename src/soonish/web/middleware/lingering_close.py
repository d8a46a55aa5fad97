"""Read on for a while after an answer that closes the connection, so that the client sees it.

A socket that is closed with unread data in it answers with a reset, and a reset takes away what
the client has not read yet: our 413 to a large body. HTTP recommends this close in steps
(RFC 9112, section 9.6); nginx calls it `lingering_close` and has the same times.
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = 30.0
IDLE_SECONDS = 5.0
MAX_BYTES = 64 * 1024 * 1024


class LingeringClose:
    """Discard the rest of a body whose answer says `Connection: close`, within these bounds.

    Reading ends after `seconds`, after `idle_seconds` without a byte, or after `max_bytes`. This
    is the outermost middleware, so that the access log does not wait for it.
    """

    def __init__(
        self,
        app: ASGIApp,
        seconds: float = SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.app = app
        self._seconds = seconds
        self._idle_seconds = idle_seconds
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        await self.app(scope, exchange.receive, exchange.send)
        if exchange.is_open:
            with contextlib.suppress(TimeoutError):
                await self._discard(exchange)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _discard(self, exchange: _Exchange) -> None:
        left = self._max_bytes
        async with asyncio.timeout(self._seconds):
            while left > 0 and not exchange.body_ended:
                message = await asyncio.wait_for(exchange.receive(), self._idle_seconds)
                left -= len(message.get("body", b""))


class _Exchange:
    """One request and its answer, whose end is held back while the body is unread."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._closes = False
        self.body_ended = False
        self.is_open = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.body_ended = message["type"] == "http.disconnect" or not message.get("more_body")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.lower(), value.lower()) for name, value in message["headers"]]
            self._closes = (b"connection", b"close") in headers
        elif self._closes and not self.body_ended and not message.get("more_body"):
            self.is_open = True
            message = {**message, "more_body": True}
        await self._send(message)
