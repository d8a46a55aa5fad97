"""Sign-in with an OpenID Connect provider: the code flow with PKCE, and validating the response.

Nothing here touches the database. Only claims backed by the signed id_token, or by userinfo about
the same subject, are trusted (OpenID Connect Core 3.1.3.7).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from soonish.config import Settings
from soonish.errors import SoonishError, Unavailable
from soonish.i18n import _

CALLBACK = "/auth/oidc/callback"
# Asymmetric signatures only: never `none`, and no key that we share with the provider.
_CURVES = ("ES256", "ES384", "ES512", "EdDSA", "Ed25519")
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *_CURVES]
_SCOPE = "openid email profile"
_LEEWAY = 60  # seconds of clock skew
_TIMEOUT = 10.0  # seconds for all requests of one step
_METADATA_SECONDS = 600.0
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
log = structlog.get_logger(__name__)


class SignInRefused(SoonishError):
    """The provider's response does not sign anybody in."""

    status = 403
    code = "sign_in_refused"
    title = _("That did not sign you in. Please try again.")


@dataclass(frozen=True)
class SignInAttempt:
    """A sign-in attempt of one browser: `state` returns in the URL, the rest in a cookie."""

    state: str
    nonce: str
    verifier: str  # PKCE (RFC 7636)
    next: str


@dataclass(frozen=True)
class Identity:
    """A person at the provider; `email` only if the provider says it is verified."""

    issuer: str
    subject: str
    email: str | None
    name: str | None


def new_attempt(next: str) -> SignInAttempt:
    made = [secrets.token_urlsafe(32) for _ in range(3)]
    return SignInAttempt(state=made[0], nonce=made[1], verifier=made[2], next=next)


def provider_name(settings: Settings) -> str:
    """Return the issuer's host, for the sign-in button; empty if none is configured."""
    return (urlsplit(settings.oidc_issuer).hostname or "") if settings.oidc_issuer else ""


class Provider:
    """The configured provider, over HTTP. The process shares one instance."""

    def __init__(self, settings: Settings) -> None:
        self.name = provider_name(settings)
        self._settings = settings
        self._metadata: tuple[float, dict[str, Any]] | None = None

    async def address(self, attempt: SignInAttempt) -> str:
        """Return the URL the browser signs in at. Raise Unavailable."""
        async with self._client() as client:
            metadata = await self._discover(client)
            url, _state = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(url)

    async def identify(self, attempt: SignInAttempt, code: str, issuer: str | None) -> Identity:
        """Exchange the code for an identity; `issuer` is the one named by the callback (RFC 9207).

        Raise SignInRefused, Unavailable.
        """
        async with self._client() as client:
            metadata = await self._discover(client)
            if issuer is not None and issuer != metadata["issuer"]:
                raise _refused("issuer_of_the_callback")
            client.token_endpoint_auth_method = self._auth_method(metadata)
            token = await client.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=attempt.verifier,
            )
            claims = await self._claims(client, metadata, token, attempt.nonce)
            if "email" not in claims and "userinfo_endpoint" in metadata:
                claims = {**await self._userinfo(client, metadata, claims["sub"]), **claims}
        return _identity(metadata["issuer"], claims)

    @asynccontextmanager
    async def _client(self) -> AsyncGenerator[AsyncOAuth2Client]:
        """Open a client for one step, ignoring the environment's proxies and `.netrc`."""
        client = AsyncOAuth2Client(
            self._settings.oidc_client_id,
            self._settings.oidc_client_secret or None,
            scope=_SCOPE,
            redirect_uri=self._settings.base_url + CALLBACK,
            code_challenge_method="S256",
            trust_env=False,
            follow_redirects=False,
            timeout=_TIMEOUT,
        )
        try:
            # Its base class is httpx2's or httpx's, so pyright cannot see that it closes.
            async with asyncio.timeout(_TIMEOUT), cast(Any, client):
                yield client
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            raise self._unavailable(error) from None
        except OAuthError as error:
            raise _refused(str(error.error)) from None
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise _refused(getattr(error, "error", "") or type(error).__name__) from None

    def _unavailable(self, error: Exception) -> Unavailable:
        log.warning("the sign-in provider does not answer", error=type(error).__name__)
        return Unavailable(
            _(
                "%(name)s does not answer just now. Please try again, or sign in another way.",
                name=self.name,
            )
        )

    async def _discover(self, client: AsyncOAuth2Client) -> dict[str, Any]:
        """Return the provider's metadata (OpenID Connect Discovery 1.0), cached for ten minutes."""
        if self._metadata and time.monotonic() - self._metadata[0] < _METADATA_SECONDS:
            return self._metadata[1]
        issuer = self._settings.oidc_issuer.rstrip("/")
        found = await _get_json(client, f"{issuer}/.well-known/openid-configuration")
        secure = issuer.startswith("https://")
        _check_metadata(found, issuer, secure=secure)
        self._metadata = (time.monotonic(), found)
        return found

    def _auth_method(self, metadata: Mapping[str, Any]) -> str:
        """Return how we authenticate as a client at the token endpoint."""
        if not self._settings.oidc_client_secret:
            return "none"
        known = metadata.get("token_endpoint_auth_methods_supported") or []
        uses_post = "client_secret_post" in known and "client_secret_basic" not in known
        return "client_secret_post" if uses_post else "client_secret_basic"

    async def _claims(
        self,
        client: AsyncOAuth2Client,
        metadata: Mapping[str, Any],
        token: Mapping[str, Any],
        nonce: str,
    ) -> dict[str, Any]:
        """Return the id_token's claims after checking signature, issuer, audience, times and
        nonce."""
        # Fetched every time: that rules out stale keys, and sign-ins are rare.
        keys = KeySet.import_key_set(cast(Any, await _get_json(client, metadata["jwks_uri"])))
        found = jwt.decode(token["id_token"], keys, algorithms=ALGORITHMS)
        claims = CodeIDToken(
            found.claims,
            found.header,
            {
                "iss": {"essential": True, "value": metadata["issuer"]},
                "aud": {"essential": True, "value": self._settings.oidc_client_id},
            },
            {
                "nonce": nonce,
                "client_id": self._settings.oidc_client_id,
                "access_token": token.get("access_token"),
            },
        )
        claims.validate(leeway=_LEEWAY)
        return dict(claims)

    async def _userinfo(
        self, client: AsyncOAuth2Client, metadata: Mapping[str, Any], subject: str
    ) -> dict[str, Any]:
        """Return the userinfo claims if they are about the same subject."""
        found = await _get_json(client, metadata["userinfo_endpoint"], withhold_token=False)
        if found.get("sub") != subject:
            raise _refused("subject_of_userinfo")
        return found


async def _get_json(
    client: AsyncOAuth2Client, url: str, *, withhold_token: bool = True
) -> dict[str, Any]:
    answer = await client.request("GET", url, withhold_token=withhold_token)
    answer.raise_for_status()
    found = answer.json()
    if not isinstance(found, dict):
        raise TypeError
    return cast(dict[str, Any], found)


def _check_metadata(found: Mapping[str, Any], issuer: str, *, secure: bool) -> None:
    """Check that the metadata names this issuer and never downgrades from https to http."""
    if str(found["issuer"]).rstrip("/") != issuer:
        raise _refused("issuer_of_the_metadata")
    endpoints = [str(found[name]) for name in _ENDPOINTS]
    endpoints += [str(found[n]) for n in ("userinfo_endpoint",) if n in found]
    if secure and not all(url.startswith("https://") for url in endpoints):
        raise _refused("endpoint_without_https")


def _identity(issuer: str, claims: Mapping[str, Any]) -> Identity:
    subject, email, name = claims["sub"], claims.get("email"), claims.get("name")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
        raise _refused("subject")  # at most 255 characters: OpenID Connect Core 2
    verified = claims.get("email_verified")
    proven = verified is True or verified == "true"  # a string at some providers
    return Identity(
        issuer=issuer,
        subject=subject,
        email=email if proven and isinstance(email, str) else None,
        name=name if isinstance(name, str) else None,
    )


def _refused(reason: str) -> SignInRefused:
    """Log the reason, a single word without any data from the response."""
    log.warning("an answer of the sign-in provider was refused", reason=reason)
    return SignInRefused()
