"""The loops that a user would write by hand, one process each, for comparison.

`python -m bench.loops KIND COUNT URL [OFFSET]`, KIND one of:
webhook (Apprise.instantiate(url).notify() per message), mail-stock (one mailto:// notify per
mail), mail-cached (the same with the SSL context made once).
"""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import apprise

from bench.harness import ROOT

TITLE = "Bench has changed"
BODY = "When: Saturday, 12 December 2026, 18:00 (UTC)\nWhere: Park\n\nSee the event."


def webhook(count: int, url: str, offset: int) -> None:
    for number in range(offset, offset + count):
        plugin = apprise.Apprise.instantiate(url.format(number))
        assert plugin is not None
        assert plugin.notify(title=TITLE, body=BODY)


def mail_stock(count: int, url: str, offset: int) -> None:
    webhook(count, url, offset)


def mail_cached(count: int, url: str, offset: int) -> None:
    context = ssl.create_default_context()
    ssl.create_default_context = lambda *args, **kwargs: context  # type: ignore[assignment]
    webhook(count, url, offset)


LOOPS: dict[str, Callable[[int, str, int], None]] = {
    "webhook": webhook,
    "mail-stock": mail_stock,
    "mail-cached": mail_cached,
}


def run(kind: str, count: int, url: str, processes: int = 2) -> float:
    """Messages per second of `count` messages spread over processes, start-up not counted."""
    share = count // processes
    started: list[subprocess.Popen[str]] = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.loops", kind, str(share), url, str(index * share)],
            cwd=Path(ROOT),
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(processes)
    ]
    spans = [tuple(map(float, process.communicate()[0].split())) for process in started]
    return share * processes / (max(end for _, end in spans) - min(start for start, _ in spans))


if __name__ == "__main__":
    began = time.monotonic()
    LOOPS[sys.argv[1]](int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    print(began, time.monotonic())
