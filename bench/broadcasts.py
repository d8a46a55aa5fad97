"""Scenarios: one message to many."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx2

from bench import loops
from bench.harness import Sink, System, free_port, sink, system, wait_until
from bench.rows import Row, row
from bench.seed import Seed, UrlOf, by_mail
from bench.temporal import history_events

WARM_UP = 50
AIMED_AT = 10_000  # recipients that the aims of a broadcast hold for


def notify(running: System, event_id: int, token: str) -> dict[str, Any]:
    """{notification_id, audience} of a message to everybody."""
    answer = httpx2.post(
        f"{running.base_url}/api/events/{event_id}/notify",
        json={"title": "Bench has changed", "body": loops.BODY},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    answer.raise_for_status()
    return answer.json()


def deliver(
    running: System, target: Sink, count: int, url_of: UrlOf, hooks: int, mails: int
) -> tuple[float, int]:
    """A message to `count` subscribers: (seconds from the answer to notify until the last of so
    many webhooks and mails is at the sink, notification id)."""
    event_id, token = Seed(running).event(count, url_of)
    target.reset()
    notification_id = notify(running, event_id, token)["notification_id"]
    answered = time.monotonic()

    def all_there() -> bool:
        stats = target.stats()
        return stats["distinct"] >= hooks and stats["distinct_mails"] >= mails

    wait_until(all_there, 1200, f"{hooks} webhooks and {mails} mails")
    stats = target.stats()
    return max(stats["last"], stats["mail_last"]) - answered, notification_id


def to_webhooks(running: System, target: Sink, count: int, url_of: UrlOf) -> float:
    return deliver(running, target, count, url_of, count, 0)[0]


def to_mail(running: System, target: Sink, count: int) -> float:
    return deliver(running, target, count, by_mail, 0, count)[0]


def webhooks(count: int = 1_000) -> list[Row]:
    """A broadcast to webhooks beside a plain loop over Apprise with the same sink."""
    with sink() as target, system() as running:
        url = f"json://127.0.0.1:{target.http_port}/{{}}"
        to_webhooks(running, target, WARM_UP, url.format)
        ours = count / _usual(lambda: to_webhooks(running, target, count, url.format))
        loop = loops.run("webhook", count, url)
    return [
        row(f"webhooks, {count:,} recipients", ours, "/s"),
        row("plain Apprise loop, two processes", loop, "/s"),
        row(f"webhooks against the loop, {count:,}", ours / loop, "x", _aim(count, 2)),
    ]


def mails(count: int = 1_000) -> list[Row]:
    """A broadcast of personalised mail beside loops over mailto:// with the same sink."""
    with sink() as target, system(None, **target.mail) as running:
        to_mail(running, target, WARM_UP)
        ours = count / _usual(lambda: to_mail(running, target, count))
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
        row(f"mail against the stock loop, {count:,}", ours / stock, "x", _aim(count, 60)),
        row(f"mail against the cached loop, {count:,}", ours / cached, "x", _aim(count, 6)),
    ]


def _usual(measure: Callable[[], float]) -> float:
    """The median of three: a broadcast of a second meets whatever else the machine does then."""
    return statistics.median(measure() for _ in range(3))


def _aim(count: int, ratio: float) -> float | None:
    return ratio if count >= AIMED_AT else None


def slow_targets(count: int = 10_000, addresses: int = 100) -> list[Row]:
    """Targets that answer after 50 ms, spread over loopback addresses, beside the plain loop."""
    with sink(50, addresses) as target, system() as running:

        def url_of(number: int) -> str:
            return f"json://127.0.1.{number % addresses + 1}:{target.http_port}/{number}"

        to_webhooks(running, target, WARM_UP, url_of)
        ours = count / to_webhooks(running, target, count, url_of)
        loop = loops.run("webhook", min(count, 200), f"json://127.0.1.1:{target.http_port}/{{}}")
    return [
        row(f"webhooks answered after 50 ms, {count:,} at {addresses} addresses", ours, "/s", 2000),
        row("plain Apprise loop with such a target, two processes", loop, "/s"),
    ]


def mixed(count: int = 10_000) -> list[Row]:
    """Half mail, half webhooks, of these 5% broken (refused, or status 500) and 1% hanging: until
    the last healthy one has its message, against the sum of the same mails and webhooks alone."""
    with sink() as target, system(None, **target.mail) as running:
        hook = f"json://127.0.0.1:{target.http_port}/{{}}".format
        urls = _mixture(count, target.http_port)
        by_hook = sum(1 for number, url in urls.items() if url == hook(number))
        by_post = sum(1 for url in urls.values() if url is None)
        to_mail(running, target, WARM_UP)
        to_webhooks(running, target, WARM_UP, hook)
        mail_seconds = to_mail(running, target, by_post)
        hook_seconds = to_webhooks(running, target, by_hook, hook)
        both, _ = deliver(running, target, count, urls.get, by_hook, by_post)
    parts = mail_seconds + hook_seconds
    return [
        row(f"{by_post:,} mails alone", mail_seconds, "s"),
        row(f"{by_hook:,} webhooks alone", hook_seconds, "s"),
        row(f"both and {count - by_post - by_hook:,} that are broken or hang", both, "s"),
        row(
            "the mixed audience against the sum of its healthy parts",
            both / parts,
            "x",
            1.3,
            less=True,
        ),
    ]


def _mixture(count: int, port: int) -> dict[int, str | None]:
    """The URL of each subscriber's number; None: by mail."""
    target, refused = f"json://127.0.0.1:{port}", f"json://127.0.0.1:{free_port()}"
    special = {7: f"{target}/hang", 21: refused, 37: refused, 53: refused}
    special |= {69: f"{target}/broken", 85: f"{target}/broken"}

    def url_of(number: int) -> str | None:
        if found := special.get(number % 100):
            return f"{found}/{number}"
        return f"{target}/{number}" if number % 2 else None

    return {number: url_of(number) for number in range(count)}


def growth(count: int = 10_000, factor: int = 10) -> list[Row]:
    """Mail to `factor` times as many, each in a new system: time, memory at most, history."""
    few, many = _grown(count), _grown(count * factor)
    longer, larger = many["seconds"] / few["seconds"], many["memory"] / few["memory"]
    small, large = f"{count:,}", f"{count * factor:,}"
    return [
        row(f"mail to {small}", few["seconds"], "s"),
        row(f"mail to {large}", many["seconds"], "s"),
        row(f"time, {large} against {small}", longer, "x", factor * 1.1, less=True),
        row(f"memory at most, {small}", few["memory"], "MB"),
        row(f"memory at most, {large}", many["memory"], "MB"),
        row(f"memory, {large} against {small}", larger, "x", 1.5, less=True),
        row(f"history of the broadcast to {small}", few["events"], "events", 1000, less=True),
        row(f"history of the broadcast to {large}", many["events"], "events"),
    ]  # fmt: skip


def _grown(count: int) -> dict[str, float]:
    with sink() as target, system(None, **target.mail) as running:
        to_mail(running, target, WARM_UP)
        with running.peak_memory() as memory:
            seconds, notification_id = deliver(running, target, count, by_mail, 0, count)
        events = asyncio.run(history_events(running, f"notification-{notification_id}"))
    return {"seconds": seconds, "memory": memory[0], "events": events}
