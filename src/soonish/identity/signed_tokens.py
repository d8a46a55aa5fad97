"""The signed tokens in every mail: not stored, and revoked by the user's epoch.

The same claims issued in the same second give the same token, so that a retried mail is identical.
See docs/architecture.md#tokens.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal, cast

from itsdangerous import BadSignature, Signer, URLSafeSerializer
from itsdangerous.encoding import base64_encode
from itsdangerous.signer import SigningAlgorithm

from soonish.errors import Gone

Purpose = Literal["unsubscribe", "manage"]
LIFETIME = timedelta(days=60)


@dataclass(frozen=True)
class LinkClaims:
    """The claims of a token: it acts on the user's current subscription to the event."""

    event_id: int
    user_id: int
    epoch: int  # must equal the user's token_epoch; whoever loads the user checks it
    issued_at: datetime


def make_token(
    secret_key: str,
    purpose: Purpose,
    *,
    event_id: int,
    user_id: int,
    epoch: int,
    issued_at: datetime,
) -> str:
    """Return a URL-safe token, valid for 60 days from `issued_at` (whole seconds)."""
    claims = f"[{event_id},{user_id},{epoch},{int(issued_at.timestamp())}]"
    return _signer(secret_key, purpose).sign(base64_encode(claims)).decode()


def read_token(secret_key: str, purpose: Purpose, token: str, now: datetime) -> LinkClaims:
    """Return the claims of a token for this purpose. Raise Gone for any other and after 60 days."""
    try:
        values = _serializer(secret_key, purpose).loads(token)
    except (BadSignature, UnicodeError) as error:
        raise Gone from error
    event_id, user_id, epoch, issued = cast(list[Any], values)
    claims = LinkClaims(event_id, user_id, epoch, datetime.fromtimestamp(issued, UTC))
    if now >= claims.issued_at + LIFETIME:
        raise Gone
    return claims


class _Hmac(SigningAlgorithm):
    """HMAC-SHA256 in one call, at a fifth of the cost of the stock algorithm."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


@cache
def _signer(secret_key: str, purpose: Purpose) -> Signer:
    """Return a signer with the key derived once: a broadcast makes two tokens per recipient."""
    key = _serializer(secret_key, purpose).make_signer().derive_key()
    return Signer(key, key_derivation="none", algorithm=_Hmac())


@cache
def _serializer(secret_key: str, purpose: Purpose) -> URLSafeSerializer:
    return URLSafeSerializer(
        secret_key,
        salt=f"soonish.subscriptions.{purpose}",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
