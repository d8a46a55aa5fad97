"""A delivery attempt: its deadline, its observations, and the watchdog that ends it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from soonish.delivery.transports.egress.addresses import Network

ATTEMPT_SECONDS: Final = 14.5  # the watchdog looks every 0.2 s, so an attempt ends within 15 s
Fault = Literal["timeout", "connection", "certificate", "resolve", "blocked", "limit"]


class BlockedTarget(PermissionError):
    """The guard refused: an address that is not public, or an action deliveries may not take."""


@dataclass(eq=False)
class Attempt:
    """The state of a delivery thread's current attempt; owned by that thread."""

    allowed: Sequence[Network] = ()
    only: tuple[str, int] | None = None  # (host, port): service mail reaches nothing else
    headers: dict[str, str] = field(default_factory=dict[str, str])  # added to HTTP requests
    deadline: float = field(default_factory=lambda: time.monotonic() + ATTEMPT_SECONDS)
    statuses: list[int] = field(default_factory=list[int])
    retry_after: float | None = None
    fault: Fault | None = None
    contacted: bool = False
    is_smtp: bool = False
    approved: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])  # by the guard
    expired: bool = False
    _over: bool = False
    _handles: list[socket.socket] = field(default_factory=list[socket.socket])
    _owned: list[socket.socket] = field(default_factory=list[socket.socket])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def remaining(self) -> float:
        """Seconds left; raises TimeoutError when there are none."""
        left = self.deadline - time.monotonic()
        if self.expired or left <= 0:
            self.fault = "timeout"
            raise TimeoutError("the attempt's time is over")
        return left

    def watch(self, handle: socket.socket, *, owned: bool = False) -> None:
        """Have the watchdog shut down `handle` (a duplicate of the socket in use) at the deadline.

        An `owned` handle is closed with the attempt; any other belongs to a kept connection.
        """
        with self._lock:
            if self.expired:
                _shut(handle)
            self._handles.append(handle)
            if owned:
                self._owned.append(handle)

    def expire(self) -> None:
        """Shut down the attempt's sockets, which ends all waiting; called by the watchdog."""
        with self._lock:
            if not self._over:
                self.expired = True
                for handle in self._handles:
                    _shut(handle)

    def finish(self) -> None:
        """End the attempt: the watchdog leaves its sockets alone from now on."""
        with self._lock:
            self._over = True
            self._handles.clear()
            for handle in self._owned:
                handle.close()
            self._owned.clear()


def _shut(handle: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side may have closed it first
        handle.shutdown(socket.SHUT_RDWR)


class _Current(threading.local):
    attempt: Attempt | None = None
    is_delivery: bool = False


_current = _Current()
_active: dict[int, Attempt] = {}
_watchdog_lock = threading.Lock()
_watchdog: threading.Thread | None = None


def enter_delivery_thread() -> None:
    """Mark the calling thread for good: the guard and the audit hook check what it does."""
    _current.is_delivery = True


def in_delivery_thread() -> bool:
    return _current.is_delivery


def current() -> Attempt:
    """Return the calling thread's attempt. Raises BlockedTarget outside of one (fail closed)."""
    attempt = _current.attempt
    if attempt is None:
        raise BlockedTarget("no attempt is under way in this thread")
    return attempt


@contextlib.contextmanager
def running(attempt: Attempt):
    """Make `attempt` the thread's current one, watched by the watchdog, until the block ends."""
    _start_watchdog()
    ident = threading.get_ident()
    _current.attempt = attempt
    _active[ident] = attempt
    try:
        yield attempt
    finally:
        attempt.finish()
        _active.pop(ident, None)
        _current.attempt = None


def _start_watchdog() -> None:
    global _watchdog
    if _watchdog is not None and _watchdog.is_alive():
        return
    with _watchdog_lock:
        if _watchdog is None or not _watchdog.is_alive():
            _watchdog = threading.Thread(target=_watch, name="delivery-watchdog", daemon=True)
            _watchdog.start()


def _watch() -> None:
    while True:
        time.sleep(0.2)
        now = time.monotonic()
        for attempt in list(_active.values()):
            if now >= attempt.deadline and not attempt.expired:
                attempt.expire()
