"""Security headers for every response, and protection against cross-site requests."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soonish.config import Settings
from soonish.errors import Forbidden
from soonish.web.cookies import SESSION
from soonish.web.errors import error_response

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "object-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-src 'self'",  # documents that say frame-ancestors 'self': displayed mails
        "frame-ancestors 'none'",
    )
)
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "browsing-topics",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "usb",
    )
)
HSTS = "max-age=31536000; includeSubDomains"
_VARY = "Cookie, HX-Request"
_HOST_PREFIX = "__Host-"
_TOKEN_PAGES = re.compile(r"^/(u/|manage/|confirm/|verify|reset|auth/)")
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}


class SecurityHeadersMiddleware:
    """Adds security headers: CSP, nosniff, HSTS and the like, and no-store.

    A response's own Content-Security-Policy or Cache-Control is kept. Over https every cookie gets
    a prefix that ties it to this host.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.https = settings.base_url.startswith("https://")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(scope, MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _add_headers(self, scope: Scope, headers: MutableHeaders) -> None:
        private = _TOKEN_PAGES.match(scope["path"]) or b"invitation=" in scope["query_string"]
        _make_local(scope, headers)
        headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer" if private else "same-origin")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        if "cache-control" not in headers:
            headers["Cache-Control"] = "private, no-store"
            headers.add_vary_header(_VARY)
        if self.https:
            headers.setdefault("Strict-Transport-Security", HSTS)
            _harden_cookies(headers)


def _harden_cookies(headers: MutableHeaders) -> None:
    cookies = headers.getlist("set-cookie")
    if cookies:
        del headers["set-cookie"]
    for cookie in cookies:
        prefix = "" if cookie.startswith(_HOST_PREFIX) else _HOST_PREFIX
        secure = "" if "; secure" in cookie.lower() else "; Secure"
        headers.append("set-cookie", f"{prefix}{cookie}{secure}")


def _make_local(scope: Scope, headers: MutableHeaders) -> None:
    """Reduce the router's redirects to a path.

    They contain the host as the client named it, and http behind a proxy that speaks https.
    """
    own = f"{scope['scheme']}://{Headers(scope=scope).get('host', '')}/"
    if (location := headers.get("Location", "")).startswith(own):
        headers["Location"] = "/" + location.removeprefix(own).lstrip("/")


class CsrfMiddleware:
    """Refuses unsafe cross-site requests that a browser's cookie would authenticate.

    The API is protected when the session cookie is sent, pages always (signing a stranger in is an
    attack too). `/u/` (RFC 8058) and requests with an Authorization header are exempt.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.origin = _origin(settings.base_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_forged(scope):
            error = Forbidden("This request came from another site.", code="csrf_failed")
            await error_response(Request(scope, receive), error)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_forged(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        if scope["method"] in _SAFE_METHODS or not _is_guarded(scope["path"], headers):
            return False
        if site := headers.get("sec-fetch-site"):
            return site not in ("same-origin", "none")
        origin = headers.get("origin")
        own = {self.origin, f"{scope['scheme']}://{headers.get('host', '')}"}
        return origin is not None and origin not in own


def _is_guarded(path: str, headers: Headers) -> bool:
    if "authorization" in headers or path.startswith("/u/"):
        return False
    return not path.startswith("/api/") or f"{SESSION}=" in headers.get("cookie", "")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
