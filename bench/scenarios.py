"""What can be measured. Each scenario returns rows (bench.rows)."""

from __future__ import annotations

from collections.abc import Callable

from bench.basics import latency, memory, startup
from bench.broadcasts import growth, mails, mixed, slow_targets, webhooks
from bench.enumeration import enumeration
from bench.reminders import move, reminders
from bench.rows import Row
from bench.storms import storm

SCENARIOS: dict[str, Callable[[], list[Row]]] = {
    "startup": startup,
    "latency": latency,
    "webhooks": webhooks,
    "mails": mails,
    "webhooks-10k": lambda: webhooks(10_000),
    "mails-10k": lambda: mails(10_000),
    "slow-targets": slow_targets,
    "mixed": mixed,
    "growth": growth,
    "storm": storm,
    "reminders": reminders,
    "move": move,
    "memory": memory,
    "enumeration": enumeration,
}
QUICK = ("startup", "latency", "webhooks", "mails", "webhooks-10k", "mails-10k")
