"""Account cookies: the session, the browser that registered, and the OpenID Connect attempt."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any, cast

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.domain.accounts.oidc import SignInAttempt

SESSION = "soonish_session"
REGISTER = "soonish_register"
ATTEMPT = "soonish_oidc"
_REGISTER_LIFETIME = timedelta(days=7)
_ATTEMPT_LIFETIME = timedelta(minutes=10)


def set_session(response: Response, settings: Settings, token: str) -> None:
    _set(response, settings, SESSION, token, timedelta(days=settings.session_max_days))


def clear_session(response: Response, settings: Settings) -> None:
    _set(response, settings, SESSION, "", timedelta())


def read_session(request: Request, settings: Settings) -> str | None:
    return request.cookies.get(_name(SESSION, settings))


def set_register(response: Response, settings: Settings, token: str) -> None:
    _set(response, settings, REGISTER, token, _REGISTER_LIFETIME)


def clear_register(response: Response, settings: Settings) -> None:
    _set(response, settings, REGISTER, "", timedelta())


def read_register(request: Request, settings: Settings) -> str | None:
    return request.cookies.get(_name(REGISTER, settings))


def set_attempt(response: Response, settings: Settings, sealed: str) -> None:
    _set(response, settings, ATTEMPT, sealed, _ATTEMPT_LIFETIME)


def clear_attempt(response: Response, settings: Settings) -> None:
    _set(response, settings, ATTEMPT, "", timedelta())


def read_attempt(request: Request, settings: Settings) -> str | None:
    return request.cookies.get(_name(ATTEMPT, settings))


def _set(response: Response, settings: Settings, name: str, value: str, life: timedelta) -> None:
    """Set a cookie, over https with `__Host-`, which sibling domains and plain http cannot
    plant."""
    response.set_cookie(
        _name(name, settings),
        value,
        max_age=int(life.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=_is_https(settings),
    )


def _name(name: str, settings: Settings) -> str:
    return f"__Host-{name}" if _is_https(settings) else name


def _is_https(settings: Settings) -> bool:
    return settings.base_url.startswith("https://")


SECONDS = 600  # for signing in at the provider


def seal(settings: Settings, attempt: SignInAttempt) -> str:
    """Sign the attempt, so that nobody can forge one for another browser."""
    return _serializer(settings).dumps(asdict(attempt))


def unseal(settings: Settings, sealed: str | None) -> SignInAttempt | None:
    """Return an attempt sealed within the last ten minutes; None for anything else."""
    try:
        found = cast(dict[str, Any], _serializer(settings).loads(sealed or "", max_age=SECONDS))
        return SignInAttempt(**found)
    except (BadData, TypeError):  # not ours, too old, or of another version
        return None


def _serializer(settings: Settings) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings.secret_key, salt="soonish sign-in at a provider")
