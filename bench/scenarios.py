"""What is measured. Each scenario returns rows of {name, value, unit, aim?, ratio?}."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from bench import loops
from bench.harness import Sink, System, sink, system, wait_until
from bench.seed import Seed

Row = dict[str, Any]


def row(name: str, value: float, unit: str, aim: float | None = None, *, less: bool = False) -> Row:
    """`ratio` is how well the aim is met: 1 or more is good, whichever way the aim points."""
    made: Row = {"name": name, "value": round(value, 2), "unit": unit}
    if aim is not None:
        made |= {"aim": aim, "ratio": round(aim / value if less else value / aim, 2)}
    return made


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
        taken = sorted(_one_latency(running, target, event_id, token) for _ in range(samples + 5))
    taken = taken[: samples + 5]
    median, p99 = statistics.median(taken), taken[int(len(taken) * 0.99) - 1]
    return [
        row("click to first delivery, median", median * 1000, "ms", 100, less=True),
        row("click to first delivery, p99", p99 * 1000, "ms", 300, less=True),
    ]


def _one_latency(running: System, target: Sink, event_id: int, token: str) -> float:
    before = target.stats()["count"]
    notify(running, event_id, token)
    answered = time.monotonic()
    wait_until(lambda: target.stats()["count"] > before, 20, "the message")
    time.sleep(0.1)
    return target.stats()["last"] - answered


def notify(running: System, event_id: int, token: str) -> dict[str, Any]:
    answer = httpx2.post(
        f"{running.base_url}/api/events/{event_id}/notify",
        json={"title": "Bench has changed", "body": loops.BODY},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    answer.raise_for_status()
    return answer.json()


def broadcast(
    running: System, target: Sink, kind: str, count: int, url_of: Callable[[int], str | None]
) -> float:
    """Messages per second from the answer to notify until the last is at the sink."""
    event_id, token = Seed(running).event(count, url_of)
    target.reset()
    notify(running, event_id, token)
    answered = time.monotonic()
    total, last = ("mails", "mail_last") if kind == "mail" else ("count", "last")
    wait_until(lambda: target.stats()[total] >= count, 600, f"{count} of {kind}")
    return count / (target.stats()[last] - answered)


def webhooks(count: int = 1_000) -> list[Row]:
    """A broadcast to webhooks beside a plain loop over Apprise with the same sink."""
    with sink() as target, system() as running:
        url = f"json://127.0.0.1:{target.http_port}/{{}}"
        broadcast(running, target, "webhook", 50, url.format)
        ours = broadcast(running, target, "webhook", count, url.format)
        loop = loops.run("webhook", count, url)
    return [
        row(f"webhooks, {count:,} recipients", ours, "/s"),
        row("plain Apprise loop, two processes", loop, "/s"),
        row(f"webhooks against the loop, {count:,}", ours / loop, "x", 2),
    ]


def mails(count: int = 1_000) -> list[Row]:
    """A broadcast of personalised mail beside loops over mailto:// with the same sink."""
    with sink() as target:
        smtp = {
            "SMTP_SERVER": "127.0.0.1",
            "SMTP_PORT": str(target.smtp_port),
            "SMTP_SECURITY": "none",
        }
        with system(None, **smtp) as running:
            broadcast(running, target, "mail", 50, lambda number: None)
            ours = broadcast(running, target, "mail", count, lambda number: None)
            url = (
                f"mailto://127.0.0.1:{target.smtp_port}/?mode=insecure&from=a@example.com"
                "&to=subscriber-{}@example.com"
            )
            stock = loops.run("mail-stock", min(count, 400), url)
            cached = loops.run("mail-cached", min(count, 2_000), url)
    return [
        row(f"service mail, {count:,} recipients", ours, "/s"),
        row("stock mailto:// loop, two processes", stock, "/s"),
        row("the same, SSL context cached", cached, "/s"),
        row(f"mail against the stock loop, {count:,}", ours / stock, "x", 60),
        row(f"mail against the cached loop, {count:,}", ours / cached, "x", 6),
    ]


SCENARIOS: dict[str, Callable[[], list[Row]]] = {
    "startup": startup,
    "latency": latency,
    "webhooks": webhooks,
    "webhooks-10k": lambda: webhooks(10_000),
    "mails": mails,
    "mails-10k": lambda: mails(10_000),
}
