"""Global request limits: no bodies over 1 MiB, and no text that a database cannot store."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soonish.errors import (
    MAX_FIELD_ERRORS,
    MAX_FIELD_NAME,
    FieldError,
    InvalidInput,
    NotFound,
    SoonishError,
    TooLarge,
    TooSlow,
)
from soonish.web.errors import error_response

MAX_BODY_BYTES = 1024 * 1024
BODY_SECONDS = 60.0  # sending a byte now and then must not hold a connection and its buffer
_SUSPICIOUS = re.compile(rb"\x00|%00|\\u0000|\\u[dD][89a-fA-F]")
_UNUSABLE = "Contains characters that cannot be stored."


class LimitsMiddleware:
    """For every route: 413 for a large body, 408 for a slow one, 422 for unusable text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            check_address(scope["path"], scope["query_string"])
            body = await read_body(scope, receive) if _has_body(scope) else b""
            check_text(body)
        except SoonishError as error:
            response = error_response(Request(scope, receive), error)
            if isinstance(error, (TooLarge, TooSlow)):  # LingeringClose discards the rest
                response.headers["Connection"] = "close"
            await response(scope, receive, send)
        else:
            await self.app(scope, _replay(body, receive), send)


def check_address(path: str, query: bytes) -> None:
    """Raise NotFound for NUL in the path, InvalidInput for NUL in a query parameter."""
    if "\x00" in path:
        raise NotFound
    if b"%00" in query or b"\x00" in query:
        names = (name for name, value in _pairs(query) if "\x00" in name + value)
        raise InvalidInput(next(names, "query").replace("\x00", "") or "query", _UNUSABLE)


def check_text(body: bytes) -> None:
    """Raise InvalidInput naming the first fields if JSON or a form contains unusable text."""
    if not _SUSPICIOUS.search(body):
        return
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        content = dict(_pairs(body))
        if not any("\x00" in name + value for name, value in content.items()):
            return
    if fields := list(dict.fromkeys(islice(_unusable(content, ""), MAX_FIELD_ERRORS))):
        raise InvalidInput(errors=[FieldError(field or "body", _UNUSABLE) for field in fields])


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Return the whole body. Raise TooLarge beyond MAX_BODY_BYTES, TooSlow after BODY_SECONDS."""
    declared = dict(scope["headers"]).get(b"content-length", b"")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise TooLarge
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _collect(receive)
    except TimeoutError:
        raise TooSlow from None


async def _collect(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return bytes(body)


def _has_body(scope: Scope) -> bool:
    names = {name for name, _ in scope["headers"]}
    return b"content-length" in names or b"transfer-encoding" in names


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    return parse_qsl(encoded.decode("latin-1"), keep_blank_values=True)


def _unusable(value: Any, name: str) -> Iterator[str]:
    """Yield the dotted names of all texts (and keys) in `value` that cannot be stored.

    Names are cut while they grow: a long key of a long list would fill the memory otherwise.
    """
    name = name[:MAX_FIELD_NAME]
    if isinstance(value, str):
        if "\x00" in value or not _encodable(value):
            yield name
    elif isinstance(value, list):
        for index, item in enumerate(cast(list[Any], value)):
            yield from _unusable(item, f"{name}.{index}".lstrip("."))
    elif isinstance(value, dict):
        for key, item in cast(dict[str, Any], value).items():
            yield from _unusable(key, name)
            yield from _unusable(item, f"{name}.{key}".lstrip(".")) if _encodable(key) else ()


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
