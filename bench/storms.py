"""Scenario: many people subscribe at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from bench.clients import Answers, Request, post_at
from bench.harness import Sink, System, sink, system, wait_until
from bench.rows import Row, is_full, p99, row
from bench.seed import Seed
from bench.temporal import wait_until_armed
from soonish.infra.db.types import utc_now
from tests.support.postgres import postgres

RATE = 200  # subscriptions a second
# durable, unlike the server of the tests
POSTGRES_OPTIONS = ("max_connections=200", "listen_addresses=127.0.0.1")
WELCOMES = {1: 10, 1000: 300}  # seconds until the last welcome, by the number of events


def storm(seconds: float | None = None, spread: int = 1000) -> list[Row]:
    """200 POST /subscribe a second for SECONDS (default 20; 60 with BENCH_FULL=1), to one event
    and over `spread` events, on PostgreSQL (which has the aims) and on SQLite, each in a new
    system."""
    wanted = seconds or float(os.environ.get("SECONDS") or (60 if is_full() else 20))
    rows: list[Row] = []
    for database in ("PostgreSQL", "SQLite"):
        for events in (1, spread):
            rows += _storm(database, events, wanted)
    return rows


def _storm(database: str, events: int, seconds: float) -> list[Row]:
    with (
        _database(database) as settings,
        sink() as target,
        system(None, **target.mail, **settings) as running,
    ):
        seed = Seed(running)
        ids = seed.events(events, utc_now() + timedelta(days=30))
        wait_until_armed(seed, 2 * events, 60 + events)
        _warm_up(running, target, ids)
        answers = asyncio.run(_subscribe(running, ids, "storm", RATE, seconds))
        lag = _welcome_lag(target, answers)
    where = f"{database}, {events:,} event{'s' * (events > 1)}, {seconds:g} s"
    aimed = database == "PostgreSQL"
    return [
        row(f"subscriptions answered, {where}", answers.rate, "/s"),
        row(f"POST /subscribe p99, {where}", p99(answers.seconds) * 1000, "ms",
            250 if aimed else None, less=True),
        row(f"last welcome after the end, {where}", lag, "s",
            WELCOMES.get(events) if aimed else None, less=True),
    ]  # fmt: skip


@contextmanager
def _database(name: str) -> Generator[dict[str, str]]:
    """The settings for a new database."""
    if name == "SQLite":
        yield {}
    else:
        with postgres(POSTGRES_OPTIONS) as server:
            yield {"DATABASE_URL": server.create_database()}


async def _subscribe(
    running: System, ids: list[int], prefix: str, rate: float, seconds: float
) -> Answers:
    def request(number: int) -> Request:
        path = f"/api/events/{ids[number % len(ids)]}/subscribe"
        return path, {"email": f"{prefix}-{number}@example.com"}

    return await post_at(int(running.environment["PORT"]), rate, seconds, request)


def _warm_up(running: System, target: Sink, ids: list[int]) -> None:
    """A few subscriptions, until their welcomes are there."""
    asyncio.run(_subscribe(running, ids, "early", 10, 2))
    wait_until(lambda: target.stats()["distinct_mails"] >= 20, 300, "the first welcomes")
    target.reset()


def _welcome_lag(target: Sink, answers: Answers) -> float:
    """Seconds from the last answer until every welcome is at the sink."""
    count = len(answers.seconds)
    assert answers.statuses == {201: count}, answers.statuses
    wait_until(lambda: target.stats()["distinct_mails"] >= count, 900, f"{count} welcomes")
    return max(0.0, target.stats()["mail_last"] - answers.ended)
