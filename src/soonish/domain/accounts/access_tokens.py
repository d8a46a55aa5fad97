"""JWT access tokens for API clients. They name a session; its row decides.

See docs/architecture.md#accounts.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt

from soonish.config import Settings
from soonish.errors import Unauthorized
from soonish.infra.db.models.accounts import Session
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import MAX_ID

AUDIENCE = "soonish-api"
TYPE = "access"
_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "sid", "type"]


@dataclass(frozen=True)
class AccessToken:
    """`expires_in` is in seconds."""

    token: str
    expires_in: int


@dataclass(frozen=True)
class JwtClaims:
    user_id: int
    session_id: int


def issue(settings: Settings, row: Session) -> AccessToken:
    """Issue a token for the session, valid for ACCESS_TOKEN_EXPIRE_MINUTES at most."""
    now = utc_now().replace(microsecond=0)
    lifetime = timedelta(minutes=settings.access_token_expire_minutes)
    expires = min(now + lifetime, row.expires_at.replace(microsecond=0))
    claims = {
        "iss": settings.base_url,
        "aud": AUDIENCE,
        "type": TYPE,
        "sub": str(row.user_id),
        "sid": row.id,
        "iat": now,
        "exp": expires,
    }
    token = jwt.encode(claims, signing_key(settings), algorithm=settings.jwt_algorithm)
    return AccessToken(token, int((expires - now).total_seconds()))


def verify(settings: Settings, token: str) -> JwtClaims:
    """Return the token's claims. Raise Unauthorized unless it is valid, ours and of this type."""
    try:
        claims = jwt.decode(
            token,
            signing_key(settings),
            algorithms=[settings.jwt_algorithm],
            audience=AUDIENCE,
            issuer=settings.base_url,
            options={"require": _CLAIMS},
        )
    except jwt.InvalidTokenError:
        raise Unauthorized from None
    if claims["type"] != TYPE:
        raise Unauthorized
    return JwtClaims(user_id=_row_id(claims["sub"]), session_id=_row_id(claims["sid"]))


def _row_id(value: Any) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_ID):
        raise Unauthorized
    return int(text)


def signing_key(settings: Settings) -> bytes:
    """Derive the 64-byte key that signs access tokens and nothing else."""
    return hmac.new(settings.secret_key.encode(), b"soonish access token", hashlib.sha512).digest()
