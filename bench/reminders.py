"""Scenarios: reminders that fall due at the same instant, and an event that moves."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta

import httpx2

from bench import bare
from bench.harness import Sink, System, sink, system, wait_until
from bench.rows import Row, p99, row
from bench.seed import Seed, UrlOf, by_mail
from bench.temporal import connect, wait_until_armed, wait_until_due
from soonish.infra.db.types import utc_now

OFFSET = 600  # seconds: the only default reminder here; nothing may come after the start
AIMS = {1: 2, 300: 15, 1000: 40}  # seconds late at most at p99, by the number of events
ALONE = {"DEFAULT_REMINDERS": str(OFFSET)}
PATIENCE = 300  # seconds after which what has not come is lost
QUIET = 3  # seconds in which nothing more may come


def reminders(sizes: tuple[int, ...] = (1, 300, 1000), subscribers: int = 10_000) -> list[Row]:
    """Events whose reminders are due in the same second, a subscriber with a webhook each, beside
    as many bare schedules in the same Temporal; and one event with many subscribers: how late the
    messages are, and whether one is early, lost or comes twice."""
    rows: list[Row] = []
    for count in sizes:
        late, wrong, alone = _due_together(count)
        rows += [
            row(f"reminders of {count:,} events due at once, late at p99", p99(late), "s",
                AIMS.get(count), less=True),
            row(f"of these early, lost or twice, {count:,}", wrong, "messages", 0, less=True),
            row(f"{count:,} bare schedules with an empty workflow, late at p99", p99(alone), "s"),
        ]  # fmt: skip
    late, wrong = _due_for_many(subscribers)
    name = f"reminder of one event with {subscribers:,}"
    return [
        *rows,
        row(f"{name}, all out after", max(late), "s", 30, less=True),
        row(f"of these early, lost or twice, {subscribers:,}", wrong, "messages", 0, less=True),
    ]  # fmt: skip


def _due_together(count: int) -> tuple[list[float], int, list[float]]:
    """Events armed well before they are due.

    (seconds late of each message, how many are wrong, seconds late of bare schedules)"""
    with sink() as target, system(None, **target.mail, **ALONE) as running:
        seed = Seed(running)
        due = _whole_second(20 + count / 5)  # time to make and arm them
        hook = f"json://127.0.0.1:{target.http_port}/{{}}".format
        seed.events(count, due + timedelta(seconds=OFFSET), hook)
        late, wrong = _lateness(seed, target, count, count, due)
        due = _whole_second(20 + count / 20)
        return late, wrong, asyncio.run(_bare(running, count, due))


async def _bare(running: System, count: int, due: datetime) -> list[float]:
    return await bare.lateness(await connect(running), count, due, PATIENCE)


def _due_for_many(subscribers: int) -> tuple[list[float], int]:
    with sink() as target, system(None, **target.mail, **ALONE) as running:
        seed = Seed(running)
        due = _whole_second(20 + subscribers / 200)
        hook: UrlOf = f"json://127.0.0.1:{target.http_port}/{{}}".format
        seed.event(subscribers, hook, due + timedelta(seconds=OFFSET))
        return _lateness(seed, target, 1, subscribers, due)


def _whole_second(ahead: float) -> datetime:
    return utc_now().replace(microsecond=0) + timedelta(seconds=int(ahead))


def _lateness(
    seed: Seed, target: Sink, schedules: int, messages: int, due: datetime
) -> tuple[list[float], int]:
    wait_until_armed(seed, schedules, (due - utc_now()).total_seconds())
    due_at = time.monotonic() + (due - utc_now()).total_seconds()
    _await(target, messages, due_at + PATIENCE - time.monotonic())
    time.sleep(QUIET)
    late = [at - due_at for at in target.times()["hooks"]]
    distinct = target.stats()["distinct"]
    lost_or_more, twice = abs(messages - distinct), len(late) - distinct
    return late, lost_or_more + twice + sum(1 for one in late if one < 0)


def _await(target: Sink, messages: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and target.stats()["distinct"] < messages:
        time.sleep(0.1)


def move(subscribers: int = 10_000) -> list[Row]:
    """From the answer to PATCH of the start until Temporal has both reminders at their new time,
    while the change is told to all subscribers by mail."""
    with sink() as target, system(None, **target.mail) as running:
        seed = Seed(running)
        event_id, token = seed.event(subscribers, by_mail)
        wait_until_armed(seed, 2, 60)
        start = _whole_second(0) + timedelta(days=40)
        answered = _patch_start(running, event_id, token, start)
        rearmed = asyncio.run(_rearmed(running, event_id, start))
        wait_until(lambda: target.stats()["distinct_mails"] >= subscribers, 600, "the news")
        told = target.stats()["mail_last"]
    name = f"event with {subscribers:,} subscribers moved"
    return [
        row(f"{name}, re-armed after", rearmed - answered, "s", 2, less=True),
        row(f"{name}, all told after", told - answered, "s"),
    ]


def _patch_start(running: System, event_id: int, token: str, start: datetime) -> float:
    """The monotonic time of the answer."""
    answer = httpx2.patch(
        f"{running.base_url}/api/events/{event_id}",
        json={"start_date": start.isoformat()},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    answer.raise_for_status()
    return time.monotonic()


async def _rearmed(running: System, event_id: int, start: datetime) -> float:
    offsets = (86400, 3600)
    ids = [f"event-{event_id}-reminder-{offset}s" for offset in offsets]
    due = [start - timedelta(seconds=offset) for offset in offsets]
    return await wait_until_due(await connect(running), ids, due)
