"""Where what is done now comes from: a request's client, or the operator's command line.

Kept for the task that does it, so that no service has to pass it on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

CLI = "cli"
_CLIENT_LENGTH = 64


class Origin:
    """`client()` is the network address that asks, None where it is no request.

    `source` is told in the entries' details, where it is not simply the API or a page.
    """

    def __init__(self, find: Callable[[], str] | None = None, source: str | None = None) -> None:
        self._find = find
        self.source = source
        # known once a route has asked who it is, and by which of their API tokens
        self.actor_id: int | None = None
        self.token_id: int | None = None

    def client(self) -> str | None:
        return (self._find()[:_CLIENT_LENGTH] or None) if self._find else None


_NOWHERE = Origin()
_current: ContextVar[Origin] = ContextVar("audit_origin", default=_NOWHERE)


def current() -> Origin:
    return _current.get()


def act_as(user_id: int, token_id: int | None = None) -> None:
    """This request is the user's: they are signed in, or hold this API token."""
    if (here := _current.get()) is not _NOWHERE:
        here.actor_id, here.token_id = user_id, token_id


@contextmanager
def coming_from(origin: Origin) -> Generator[None]:
    """What the block does is recorded with this origin."""
    token = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(token)
