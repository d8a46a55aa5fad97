"""Scenarios: start-up, latency of one message, memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from bench.broadcasts import notify
from bench.harness import Sink, System, sink, system, wait_until
from bench.rows import Row, is_full, p99, row
from bench.seed import Seed
from bench.temporal import wait_until_armed
from soonish.infra.db.types import utc_now

SETTLE = 5  # seconds until memory is looked at


def startup() -> list[Row]:
    """Seconds from `soonish up` in a used home to its ready line; memory when idle."""
    home = Path(tempfile.mkdtemp(prefix="soonish-bench-"))
    with system(home):
        pass
    times: list[float] = []
    memory = 0.0
    for _ in range(3):
        with system(home) as running:
            times.append(running.ready_seconds)
            time.sleep(2)
            memory = running.memory_mb()
    return [
        row("warm start to ready", statistics.median(times), "s", 6, less=True),
        row("memory of the whole, idle", memory, "MB", 512, less=True),
    ]


def latency(samples: int = 60) -> list[Row]:
    """From the answer to notify until the message is at the sink, one subscriber, idle system."""
    with sink() as target, system() as running:
        hooks = f"json://127.0.0.1:{target.http_port}/latency"
        event_id, token = Seed(running).event(1, lambda number: hooks)
        taken = [_one_latency(running, target, event_id, token) for _ in range(samples + 5)][5:]
    return [
        row(
            "click to first delivery, median", statistics.median(taken) * 1000, "ms", 100, less=True
        ),
        row("click to first delivery, p99", p99(taken) * 1000, "ms", 300, less=True),
    ]


def _one_latency(running: System, target: Sink, event_id: int, token: str) -> float:
    before = target.stats()["count"]
    notify(running, event_id, token)
    answered = time.monotonic()
    wait_until(lambda: target.stats()["count"] > before, 20, "the message")
    time.sleep(0.1)
    return target.stats()["last"] - answered


def memory(events: int | None = None) -> list[Row]:
    """Memory of the whole system: idle and, with BENCH_FULL=1, with 10,000 live events, each with
    the two default reminders as schedules."""
    events = 10_000 if events is None and is_full() else events
    with sink() as target, system(None, **target.mail) as running:
        time.sleep(SETTLE)
        rows = [row("memory of the whole, new and idle", running.memory_mb(), "MB", 512, less=True)]
        if not events:
            return rows
        started = time.monotonic()
        seed = Seed(running)
        seed.events(events, utc_now() + timedelta(days=30))
        wait_until_armed(seed, 2 * events, 60 + events)
        armed = time.monotonic() - started
        time.sleep(SETTLE)
        name = f"{events:,} live events, {2 * events:,} schedules"
        return [
            *rows,
            row(f"memory, {name}", running.memory_mb(), "MB", 1228.8, less=True),
            row(f"until all are armed, {name}", armed, "s"),
        ]
