"""How many wrong passwords an address may send: 5 in 15 minutes (CONTRACT)."""

from __future__ import annotations

import math
import time
from collections import deque

from soonish.errors import TooManyRequests

LOGIN_FAILURES, LOGIN_SECONDS = 5, 900
_SWEEP_AT = 10_000  # clients; so many are looked through before another is added


class FailureWindow:
    """Counts failures by key over a moving window, in this process."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self.seconds = limit, seconds
        self._failures: dict[str, deque[float]] = {}

    def check(self, key: str) -> None:
        """Raise TooManyRequests where the window holds `limit` failures already."""
        recent = self._recent(key)
        if len(recent) >= self.limit:
            wait = recent[-self.limit] + self.seconds - time.time()
            raise TooManyRequests(max(1, math.ceil(wait)))

    def add(self, key: str) -> None:
        if len(self._failures) >= _SWEEP_AT:
            self._sweep()
        self._failures.setdefault(key, deque()).append(time.time())

    def _recent(self, key: str) -> deque[float]:
        found = self._failures.get(key, deque())
        while found and found[0] <= time.time() - self.seconds:
            found.popleft()
        return found

    def _sweep(self) -> None:
        for key in [key for key in self._failures if not self._recent(key)]:
            del self._failures[key]


class LoginGuard:
    """Around each password check: `check` before it and again after it, `failed` when it was wrong.

    The second check is what stops guesses that are sent all at once.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._window = FailureWindow(LOGIN_FAILURES, LOGIN_SECONDS)

    def check(self, key: str) -> None:
        if self.enabled:
            self._window.check(key)

    def failed(self, key: str) -> None:
        if self.enabled:
            self._window.add(key)
