"""Look up names in separate threads, with a limit for each domain.

A domain whose name servers hang can have any number of names; without a limit a few dozen of them
would hold every lookup thread, and no delivery could resolve anything.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

THREADS: Final = 64
PER_DOMAIN: Final = 16
_SHARED: Final = frozenset(("ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"))
Resolver = Callable[[str, int], list[str]]


class Lookups:
    """Runs `threads` lookups at a time at most, `per_domain` of one domain, one of a name."""

    def __init__(self, threads: int = THREADS, per_domain: int = PER_DOMAIN) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="delivery-resolve")
        self._per_domain = per_domain
        self._busy: Counter[str] = Counter()
        self._pending: dict[tuple[str, int], Future[list[str]]] = {}
        self._changed = threading.Condition()

    def find(self, resolver: Resolver, host: str, port: int, seconds: float) -> list[str]:
        """Return the resolver's result. Raises its errors, and TimeoutError after `seconds`."""
        deadline = time.monotonic() + seconds
        key, domain = (host.lower(), port), domain_of(host)
        with self._changed:
            self._changed.wait_for(
                lambda: key in self._pending or self._busy[domain] < self._per_domain, seconds
            )
            future = self._pending.get(key)
            if future is None:
                if self._busy[domain] >= self._per_domain:
                    raise TimeoutError("the domain's name servers do not answer")
                future = self._begin(resolver, host, key, domain)
        return future.result(timeout=max(0.0, deadline - time.monotonic()))

    def _begin(
        self, resolver: Resolver, host: str, key: tuple[str, int], domain: str
    ) -> Future[list[str]]:
        self._busy[domain] += 1
        future = self._pending[key] = self._pool.submit(resolver, host, key[1])
        future.add_done_callback(lambda _: self._end(key, domain))
        return future

    def _end(self, key: tuple[str, int], domain: str) -> None:
        with self._changed:
            self._pending.pop(key, None)
            self._busy[domain] -= 1
            if not self._busy[domain]:
                del self._busy[domain]
            self._changed.notify_all()


def domain_of(host: str) -> str:
    """Return roughly the registered part of a name: `b.example`, `b.co.uk`."""
    labels = host.lower().rstrip(".").split(".")
    is_shared = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SHARED
    return ".".join(labels[-3 if is_shared else -2 :])
