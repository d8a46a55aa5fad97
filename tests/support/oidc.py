"""OpenID Connect providers for tests: a stock one, and a strict one that can be made to lie."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.ports import free_port
from tests.support.wait import wait_for

CLIENT_ID, CLIENT_SECRET = "soonish-test", "the client's secret"


@contextlib.contextmanager
def stock_provider() -> Generator[str]:
    """`oidc-provider-mock` as a process of its own; its issuer."""
    port = free_port()
    issuer = f"http://localhost:{port}"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "-p", str(port), "-n"],
        env={**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: _answers(issuer), 20.0, "the OpenID Connect provider")
        yield issuer
    finally:
        process.terminate()
        process.wait(10)


def _answers(issuer: str) -> bool:
    try:
        return httpx2.get(f"{issuer}/.well-known/openid-configuration").is_success
    except httpx2.TransportError:
        return False


@dataclass
class Asked:
    """An authorization request that was granted: what the code stands for."""

    redirect_uri: str
    challenge: str
    nonce: str


@dataclass
class OidcProvider:
    """Grants every request as `person`. It checks client, redirect, PKCE and that a code is new.

    What a test sets here makes its answers wrong: `claims` (None takes one away), `header`,
    `signer`, `metadata`, `userinfo`, `status`; `forged` is the key of an HMAC over the token, or
    b"" for no signature at all; `refuses` is the error that the browser is sent back with.
    """

    port: int
    person: dict[str, Any] = field(default_factory=dict[str, Any])
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    header: dict[str, Any] = field(default_factory=dict[str, Any])
    signer: Any = None
    forged: bytes | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    userinfo: dict[str, Any] = field(default_factory=dict[str, Any])
    status: int = 200
    refuses: str = ""
    asked: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    _codes: dict[str, Asked] = field(default_factory=dict[str, Asked])

    def __post_init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one"})

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def discover(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256"],
            **self.metadata,
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        self.asked.append(query)
        assert query["client_id"] == CLIENT_ID
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        back = {"state": query["state"]}
        if self.refuses:
            return f"{query['redirect_uri']}?{urlencode({**back, 'error': self.refuses})}"
        code = secrets.token_urlsafe(16)
        self._codes[code] = Asked(query["redirect_uri"], query["code_challenge"], query["nonce"])
        return f"{query['redirect_uri']}?{urlencode({**back, 'code': code})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The answer of the token endpoint; a code works once, with the verifier of its request."""
        if authorization != f"Basic {_base64(f'{CLIENT_ID}:{CLIENT_SECRET}')}":
            return 401, {"error": "invalid_client"}
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None or asked.redirect_uri != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        if _challenge_of(form.get("code_verifier", "")) != asked.challenge:
            return 400, {"error": "invalid_grant"}
        id_token = self.id_token(asked.nonce)
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": id_token}

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        right = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300}
        claims = {**right, "nonce": nonce, **self.person, **self.claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "RS256", "kid": "one", **self.header}
        if self.forged is not None:
            return _forge(f"{_part(header)}.{_part(claims)}", self.forged)
        return jwt.encode(header, claims, self.signer or self.key, algorithms=[header["alg"]])


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _forge(signed: str, key: bytes) -> str:
    """No library signs so: with the key of another kind, or not at all."""
    digest = hmac.digest(key, signed.encode(), "sha256") if key else b""
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@contextlib.contextmanager
def serve_oidc() -> Generator[OidcProvider]:
    """The provider over HTTP on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    provider = OidcProvider(server.server_address[1])
    server.RequestHandlerClass = _handler(provider)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(provider: OidcProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if parts.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(query))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif parts.path == "/jwks":
                self.answer(200, {"keys": [provider.key.as_dict(private=False)]})
            elif parts.path == "/userinfo":
                good = self.headers.get("Authorization") == "Bearer at"
                self.answer(200 if good else 401, provider.userinfo)
            else:
                self.answer(provider.status, provider.discover())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self.answer(*provider.token(form, self.headers.get("Authorization", "")))

        def answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
