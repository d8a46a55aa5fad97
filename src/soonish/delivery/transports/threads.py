"""A thread pool for deliveries that is shared fairly between destinations.

Few threads are best while the CPU is the limit, many while they wait for slow targets, so the
number of active threads grows as long as the process is idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from soonish.delivery.transports.attempt import enter_delivery_thread

START_THREADS = 8
_GROW_SECONDS = 0.02
_IDLE_SHARE = 0.5  # of one CPU: below it, threads are waiting rather than working
_CALM_SECONDS = 2.0
Job = Callable[[], None]


class _Worker:
    """One thread and the lock it sleeps on."""

    def __init__(self, pool: FairThreadPool, number: int) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.thread = threading.Thread(
            target=pool.work, args=(self,), name=f"{pool.name}-{number}", daemon=True
        )
        self.thread.start()


class FairThreadPool:
    """Runs jobs round robin by key (a destination), each key on at most a quarter of `limit`."""

    def __init__(self, name: str, limit: int, per_key: int | None = None) -> None:
        self.name = name
        self.limit = max(1, limit)
        self.per_key = per_key or max(1, self.limit // 4)
        self._start = min(START_THREADS, self.limit)
        self._allowed = self._start
        self._running = 0
        self._lock = threading.Lock()
        self._jobs: dict[str, deque[Job]] = {}
        self._busy: dict[str, int] = {}
        self._ready: deque[str] = deque()  # keys with jobs, below their share
        self._idle: list[_Worker] = []
        self._workers: list[_Worker] = []
        self._closed = False
        self._backlog = threading.Event()
        self._grower = threading.Thread(target=self._grow, name=f"{name}-grow", daemon=True)
        self._grower.start()

    def submit(self, key: str, job: Job) -> bool:
        """Queue `job`, which must not raise. False after close()."""
        with self._lock:
            if self._closed:
                return False
            queue = self._jobs.get(key)
            if queue is None:
                self._jobs[key] = queue = deque()
                if self._busy.get(key, 0) < self.per_key:
                    self._ready.append(key)
            queue.append(job)
            # Idle threads take no job while the allowed number of threads is busy, or hangs.
            if self._running >= self._allowed or not self._wake_one():
                self._backlog.set()
            return True

    def work(self, worker: _Worker) -> None:
        """Run jobs in one thread until the pool is closed."""
        enter_delivery_thread()
        key: str | None = None
        while True:
            with self._lock:
                if key is not None:
                    self._release(key)
                taken = self._take()
                if taken is None:
                    if self._closed:
                        return
                    self._idle.append(worker)
            if taken is None:
                key = None
                worker.gate.acquire()
                continue
            key, job = taken
            job()
            del job, taken

    def close(self) -> None:
        """Let the threads finish the queued jobs, and end them."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.gate.release()
        self._backlog.set()

    def join(self, seconds: float) -> None:
        """Wait for the threads after close(), for `seconds` at most."""
        until = time.monotonic() + seconds
        for worker in self._workers:
            worker.thread.join(max(0.0, until - time.monotonic()))

    def _take(self) -> tuple[str, Job] | None:
        if not self._ready or self._running >= self._allowed:
            return None
        key = self._ready.popleft()
        queue = self._jobs[key]
        job = queue.popleft()
        busy = self._busy[key] = self._busy.get(key, 0) + 1
        if not queue:
            del self._jobs[key]
        elif busy < self.per_key:
            self._ready.append(key)
        self._running += 1
        return key, job

    def _release(self, key: str) -> None:
        self._running -= 1
        busy = self._busy[key] - 1
        if busy:
            self._busy[key] = busy
        else:
            del self._busy[key]
        if key in self._jobs and busy == self.per_key - 1:
            self._ready.append(key)

    def _wake_one(self) -> bool:
        """Wake the worker that slept last (its plugins and connections are warm), or add one.

        Returns False if all are busy.
        """
        if self._idle:
            self._idle.pop().gate.release()
        elif len(self._workers) < self._allowed:
            self._workers.append(_Worker(self, len(self._workers) + 1))
        else:
            return False
        return True

    def _grow(self) -> None:
        while not self._closed:
            self._backlog.wait()
            calm_since = time.monotonic()
            while not self._closed and time.monotonic() - calm_since < _CALM_SECONDS:
                used = time.process_time()
                time.sleep(_GROW_SECONDS)
                waiting = time.process_time() - used < _IDLE_SHARE * _GROW_SECONDS
                if self._step(waiting):
                    calm_since = time.monotonic()
            with self._lock:
                self._backlog.clear()
                self._allowed = self._start

    def _step(self, waiting: bool) -> bool:
        """Allow more threads if jobs wait while the process is idle; return True if jobs wait."""
        with self._lock:
            queued = bool(self._ready) and self._running >= self._allowed
            if queued and waiting and self._allowed < self.limit:
                self._allowed = min(self.limit, self._allowed + max(4, self._allowed // 4))
                for _ in range(self._allowed - self._running):
                    self._wake_one()
            return queued


class ResultQueue:
    """Passes results from threads to one event loop, many per wake-up of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._posted: deque[tuple[asyncio.Future[Any], Any]] = deque()
        self._lock = threading.Lock()
        self._scheduled = False

    def post(self, future: asyncio.Future[Any], result: Any) -> None:
        """Set `future`'s result in its loop, from any thread."""
        with self._lock:
            self._posted.append((future, result))
            if self._scheduled:
                return
            self._scheduled = True
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            posted, self._posted = self._posted, deque()
            self._scheduled = False
        for future, result in posted:
            if not future.done():
                future.set_result(result)


class ResultQueues:
    """The result queue of each running event loop."""

    def __init__(self) -> None:
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, ResultQueue] = (
            weakref.WeakKeyDictionary()
        )

    def current(self) -> tuple[asyncio.AbstractEventLoop, ResultQueue]:
        loop = asyncio.get_running_loop()
        results = self._by_loop.get(loop)
        if results is None:
            results = self._by_loop[loop] = ResultQueue(loop)
        return loop, results
