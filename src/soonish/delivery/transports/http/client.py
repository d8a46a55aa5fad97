"""The HTTP client of Apprise's plugins: `requests.request` in a delivery thread.

It sends one request over a kept-open connection to a checked address: no proxies, no .netrc, no
cookies, no redirects, certificates always verified, at most 64 KiB of the response read. It
stores status and Retry-After, which Apprise hides, in the current attempt.
See docs/architecture.md#apprise.
"""

from __future__ import annotations

import base64
import http.client
import json as jsonlib
import re
import ssl
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import requests
from requests.structures import CaseInsensitiveDict

from soonish.delivery.transports.apprise.schemes import CONNECTION_HEADERS
from soonish.delivery.transports.attempt import Attempt, BlockedTarget, current
from soonish.delivery.transports.http.connections import (
    Connection,
    Key,
    connections,
)
from soonish.delivery.transports.http.retry_after import requested_wait

BODY_LIMIT = 64 * 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a header's name (RFC 9110, 5.6.2)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\U0010ffff]")
# Servers wait for a body of these unless the length says that there is none (RFC 9110, 8.6).
_WITH_BODY = ("POST", "PUT", "PATCH")
_Body = bytes | None


def request(method: str, url: str, **kwargs: Any) -> requests.Response:
    """Send a request as `requests.request` does, but guarded.

    Ignores `verify`, `allow_redirects`, `timeout`, `proxies`, `cert` and `cookies`. Raises only
    requests.RequestException, as the plugins expect, and sets the attempt's `fault`.
    """
    try:
        attempt = current()
    except BlockedTarget as error:
        raise requests.ConnectionError("no delivery is under way") from error
    if 429 in attempt.statuses or attempt.fault is not None:
        raise requests.ConnectionError("this attempt is over")
    try:
        target, headers, body = _prepare(method, url, kwargs)
        return _exchange(attempt, method.upper(), target, headers, body)
    except TimeoutError as error:
        attempt.fault = "timeout"
        raise requests.Timeout("no answer in time") from error
    except ssl.SSLError as error:
        attempt.fault = attempt.fault or "certificate"
        raise requests.exceptions.SSLError("TLS failed") from error
    except (OSError, http.client.HTTPException) as error:
        attempt.fault = attempt.fault or "connection"
        raise requests.ConnectionError("the connection failed") from error
    except (ValueError, UnicodeError) as error:
        raise requests.exceptions.InvalidURL("the request is not valid") from error


def _prepare(method: str, url: str, kwargs: dict[str, Any]) -> tuple[str, dict[str, str], _Body]:
    """Build URL, headers and body as `requests` would, without its session."""
    auth = kwargs.get("auth")
    if kwargs.get("files") or not (auth is None or isinstance(auth, tuple)):
        return _prepare_rare(method, url, kwargs)
    headers = {
        str(k): _header(v) for k, v in (kwargs.get("headers") or {}).items() if v is not None
    }
    body, content_type = _encode(kwargs.get("data"), kwargs.get("json"))
    if content_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type
    if auth is not None:
        secret = ":".join(part or "" for part in auth).encode()
        headers["Authorization"] = "Basic " + base64.b64encode(secret).decode()
    if kwargs.get("params"):
        query = kwargs["params"]
        encoded = query if isinstance(query, str) else urlencode(query, doseq=True)
        url += ("&" if "?" in url else "?") + encoded
    return url, headers, body


def _prepare_rare(
    method: str, url: str, kwargs: dict[str, Any]
) -> tuple[str, dict[str, str], _Body]:
    """Have requests build what has files or signing auth objects, without sending it."""
    known = ("headers", "files", "data", "params", "auth", "json")
    prepared = requests.Request(method, url, **{k: kwargs.get(k) for k in known}).prepare()
    headers = {str(k): _header(v) for k, v in prepared.headers.items()}
    body = prepared.body
    if not isinstance(body, str | bytes | None):
        raise ValueError("a streamed body")
    return str(prepared.url), headers, body.encode() if isinstance(body, str) else body


def _header(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _encode(data: Any, json: Any) -> tuple[_Body, str]:
    if data is None or data == {}:
        if json is None:
            return None, ""
        return jsonlib.dumps(json).encode(), "application/json"
    if isinstance(data, bytes):
        return data, ""
    if isinstance(data, str):
        return data.encode(), ""
    return urlencode(data, doseq=True).encode(), "application/x-www-form-urlencoded"


class _Place(NamedTuple):
    """The parts of an http(s) URL; `authority` is the value of the Host header."""

    tls: bool
    host: str
    port: int
    authority: str
    path: str  # with the query


@lru_cache(maxsize=1024)
def _split(url: str) -> _Place:
    """Split an http(s) URL. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http URL")
    tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    quoted = _UNSAFE.sub(lambda m: "".join(f"%{b:02X}" for b in m.group().encode()), path)
    default = 443 if tls else 80
    port = parts.port or default
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = name if name.isascii() else name.encode("idna").decode()
    authority += "" if port == default else f":{port}"
    return _Place(tls, parts.hostname, port, authority, quoted)


def _is_sendable(name: str, value: str) -> bool:
    """Return False for headers that belong to the connection. Raises ValueError for no header.

    Some servers read a name with blanks, or a folded value, as another header.
    """
    if not _TOKEN.fullmatch(name) or _CONTROL.search(value):
        raise ValueError("not a header")
    return name.lower() not in CONNECTION_HEADERS


def _exchange(
    attempt: Attempt, method: str, url: str, headers: dict[str, str], body: _Body
) -> requests.Response:
    place = _split(url)
    request = _request(method, place, headers | attempt.headers, body)
    key = Key(place.tls, place.host, place.port, tuple(attempt.allowed))
    kept = connections.take(key)
    connection = kept or Connection(key)
    try:
        answer = _ask(attempt, connection, method, request)
    except ConnectionError:
        # A server that closed an idle connection never took the request: send it again.
        connection.close()
        if kept is None or attempt.expired:
            raise
        connection = Connection(key)
        answer = _ask(attempt, connection, method, request)
    return _finish(attempt, connection, url, answer)


def _request(method: str, place: _Place, headers: dict[str, str], body: _Body) -> bytes:
    """Build the whole request, to be sent with one system call.

    Raises ValueError for an invalid method or header.
    """
    if not _TOKEN.fullmatch(method):
        raise ValueError("not a method")
    sent = {name: value for name, value in headers.items() if _is_sendable(name, value)}
    sent.setdefault("Accept", "*/*")
    lines = [f"{method} {place.path} HTTP/1.1", f"Host: {place.authority}"]
    lines += ["Accept-Encoding: identity", *(f"{name}: {value}" for name, value in sent.items())]
    if body is not None or method in _WITH_BODY:
        lines.append(f"Content-Length: {len(body or b'')}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def _ask(
    attempt: Attempt, connection: Connection, method: str, request: bytes
) -> http.client.HTTPResponse:
    try:
        connection.begin(attempt)
        attempt.contacted = True
        answer = connection.ask(method, request)
        if attempt.expired:  # http.client takes a head that ends early for a whole one
            raise TimeoutError("the attempt's time is over")
        return answer
    except BaseException:
        connection.close()
        if attempt.expired:
            raise TimeoutError("the attempt's time is over") from None
        raise


def _finish(
    attempt: Attempt, connection: Connection, url: str, answer: http.client.HTTPResponse
) -> requests.Response:
    try:
        content = answer.read(BODY_LIMIT)
    except BaseException:
        connection.close()
        if attempt.expired:
            raise TimeoutError("the attempt's time is over") from None
        raise
    attempt.statuses.append(answer.status)
    if answer.status in (429, 503):
        attempt.retry_after = requested_wait(answer.getheader, content)
    is_whole = answer.isclosed() and not answer.will_close and answer.status >= 200
    if is_whole and not attempt.expired:
        connections.keep(connection)
    else:
        connection.close()
    return _response(url, answer, content)


def _response(url: str, answer: http.client.HTTPResponse, content: bytes) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.reason = answer.reason
    response.url = url
    response.headers = CaseInsensitiveDict(answer.headers.items())
    response.encoding = "utf-8"  # a charset of the other side's choice, or guessing, costs seconds
    response._content = content  # pyright: ignore[reportPrivateUsage]  # as requests' own adapter does
    response._content_consumed = True  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]
    return response
