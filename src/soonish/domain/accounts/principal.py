"""Who asks, and by what: a session (cookie or access token) or a personal API token."""

from __future__ import annotations

from dataclasses import dataclass

from soonish.errors import Forbidden
from soonish.infra.db.models.accounts import ApiToken, Session, User


@dataclass(frozen=True)
class Access:
    """Somebody who may act as this user."""

    user: User


@dataclass(frozen=True)
class SessionAccess(Access):
    """Over a session, of which a cookie (else an access token) tells."""

    session: Session
    by_cookie: bool


@dataclass(frozen=True)
class TokenAccess(Access):
    """A program with a personal API token."""

    token: ApiToken


def require_session(access: Access) -> SessionAccess:
    """Whoever holds an API token alone must not get hold of the account. Raises Forbidden."""
    if not isinstance(access, SessionAccess):
        raise Forbidden(
            "An API token cannot do this: sign in with your password or a mailed link.",
            code="session_required",
        )
    return access
