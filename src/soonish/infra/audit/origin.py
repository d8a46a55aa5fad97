"""The origin of the current action: a request's client, or the operator's command line.

A context variable holds it, so that no service has to pass it on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

CLI = "cli"
_CLIENT_LENGTH = 64


class Origin:
    """The origin of audit entries.

    `client()` is the network address of a request, None outside of one. `source` goes into the
    entries' details, if the action comes neither from the API nor a page.
    """

    def __init__(self, find: Callable[[], str] | None = None, source: str | None = None) -> None:
        self._find = find
        self.source = source
        # set once a route knows the user, and the API token if they use one
        self.actor_id: int | None = None
        self.token_id: int | None = None

    def client(self) -> str | None:
        return (self._find()[:_CLIENT_LENGTH] or None) if self._find else None


_NOWHERE = Origin()
_current: ContextVar[Origin] = ContextVar("audit_origin", default=_NOWHERE)


def current() -> Origin:
    return _current.get()


def set_actor(user_id: int, token_id: int | None = None) -> None:
    """Record the request's user, who is signed in or uses this API token."""
    if (here := _current.get()) is not _NOWHERE:
        here.actor_id, here.token_id = user_id, token_id


@contextmanager
def recorded_as_from(origin: Origin) -> Generator[None]:
    """Record the audit entries of the block with this origin."""
    token = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(token)
