"""Events moved or cancelled within a second of their reminder, many at once."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from soonish.infra.db.models.events import Event
from soonish.infra.db.types import utc_now
from tests.chaos.conftest import Figures
from tests.chaos.forms import SQLITE, chance, rounds
from tests.support.wait import eventually
from tests.workflows.running import Running

OFFSET = 7200
GRACE_SECONDS = 5.0  # from the answer on; docs/architecture.md#ledger
CLOCKS_SECONDS = 0.2  # the machine's two clocks, and rounding
AT_ONCE = 50


@dataclass
class Call:
    """One event, and the instant of the change relative to its reminder."""

    running: Running
    path: str
    event: Event
    shift: float
    moves_by: timedelta | None  # None: cancelled
    answered: float = 0.0  # monotonic

    @property
    def due(self) -> datetime:
        """What was early and waited comes at this very instant."""
        return self.event.start_date - timedelta(seconds=OFFSET)

    @property
    def fires_at(self) -> datetime:
        """Schedules fire at whole seconds, never early."""
        return datetime.fromtimestamp(math.ceil(self.due.timestamp()), UTC)

    async def make(self) -> None:
        await asyncio.sleep(until(self.fires_at) + self.shift)
        if self.moves_by is None:
            await self.running.cancel(self.event)
        else:
            start = self.event.start_date + self.moves_by
            await self.running.change(self.event, reminders=[OFFSET], start_date=start)
        self.answered = time.monotonic()

    def reminders(self) -> list[float]:
        """When (monotonic) a reminder arrived."""
        requests = self.running.http.at(self.path)
        return [r.at for r in requests if "starts in" in r.json()["title"]]

    def new(self) -> list[float]:
        if self.moves_by is None:
            return []
        due = time.monotonic() + until(self.due + self.moves_by)
        return [at for at in self.reminders() if at > due - CLOCKS_SECONDS]

    def too_late(self) -> list[float]:
        """Reminders of the old instant that came when they must not any more."""
        old = [at for at in self.reminders() if at not in self.new()]
        return [at for at in old if at > self.answered + GRACE_SECONDS]


def until(instant: datetime) -> float:
    return (instant - utc_now()).total_seconds()


async def prepare(running: Running, number: int, ahead: timedelta, moves_by: timedelta) -> Call:
    """An event with one subscriber whose reminder is due so far ahead."""
    dice = chance("close call", number)
    starts_in = ahead + timedelta(seconds=OFFSET)
    event = await running.create(starts_in=starts_in, reminders=[OFFSET])
    await running.welcome(event, path := f"/{number}-{len(running.http.requests)}")
    moved = moves_by if number % 2 == 0 else None
    return Call(running, path, event, dice.uniform(-1.0, 1.0), moved)


@SQLITE
@rounds(short=8, full=200)
async def test_a_change_at_the_last_moment(running: Running, rounds: int, figures: Figures) -> None:
    for start in range(0, rounds, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, rounds))
        await close_calls(running, numbers, figures)


async def close_calls(running: Running, numbers: range, figures: Figures) -> None:
    ahead = timedelta(seconds=6 + len(numbers) * 0.3)
    moves_by = timedelta(seconds=10 + len(numbers) // 3)
    calls = [await prepare(running, number, ahead, moves_by) for number in numbers]
    assert until(calls[0].due) > 1.5, "too slow to be in time for the first reminder"
    await asyncio.gather(*(call.make() for call in calls))
    moved = [call for call in calls if call.moves_by]
    await eventually(lambda: all(call.new() for call in moved), 90, "the new reminders")
    await asyncio.sleep(GRACE_SECONDS + 1)  # an old one that still came would come by now
    late = sum(len(call.too_late()) for call in calls)
    again = sum(len(call.new()) - 1 for call in moved)
    old = sum(len(call.reminders()) - len(call.new()) for call in calls)
    figures(rounds=len(calls), messages=len(moved), duplicates=late + again, in_flight=old)
    assert late == 0
    assert again == 0
    assert all(len(call.reminders()) - len(call.new()) <= 1 for call in calls)
