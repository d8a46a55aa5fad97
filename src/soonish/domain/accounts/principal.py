"""The authentication of a request: a session (cookie or access token) or a personal API token."""

from __future__ import annotations

from dataclasses import dataclass

from soonish.errors import Forbidden
from soonish.infra.db.models.accounts import ApiToken, Session, User


@dataclass(frozen=True)
class Access:
    """Authenticated access as this user."""

    user: User


@dataclass(frozen=True)
class SessionAccess(Access):
    """Access through a session, identified by a cookie or else an access token."""

    session: Session
    by_cookie: bool


@dataclass(frozen=True)
class TokenAccess(Access):
    """Access through a personal API token."""

    token: ApiToken


def require_session(access: Access) -> SessionAccess:
    """Return session access.

    Raise Forbidden for an API token, which must not manage the account.
    """
    if not isinstance(access, SessionAccess):
        raise Forbidden(
            "An API token cannot do this: sign in with your password or a mailed link.",
            code="session_required",
        )
    return access
