"""The cookie that binds a sign-in at the provider to the browser that began it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from itsdangerous import BadData, URLSafeTimedSerializer

from soonish.accounts.oidc import Attempt
from soonish.config import Settings

SECONDS = 600  # for signing in at the provider


def seal(settings: Settings, attempt: Attempt) -> str:
    """The attempt as a signed text: nobody can make one up for another browser."""
    return _serializer(settings).dumps(asdict(attempt))


def unseal(settings: Settings, sealed: str | None) -> Attempt | None:
    """What was sealed within the last ten minutes; None for anything else."""
    try:
        found = cast(dict[str, Any], _serializer(settings).loads(sealed or "", max_age=SECONDS))
        return Attempt(**found)
    except (BadData, TypeError):  # not ours, too old, or of another version
        return None


def _serializer(settings: Settings) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings.secret_key, salt="soonish sign-in at a provider")
