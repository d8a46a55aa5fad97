"""Workers killed between a poke and `advance`, and between its commit and its answer."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from soonish.config import Settings
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.types import utc_now
from tests.chaos.conftest import Figures
from tests.chaos.forms import SQLITE, rounds
from tests.support.system import ROOT
from tests.support.wait import eventually
from tests.workflows.running import Running
from tests.workflows.test_reminders import remind

pytestmark = pytest.mark.processes

NAMES = (
    "secret_key", "encryption_key", "fingerprint_key", "soonish_home", "database_url",
    "temporal_url", "temporal_namespace", "smtp_server", "smtp_port", "smtp_security", "smtp_from",
)  # fmt: skip
RECOVERED_SECONDS = 45.0  # a missed heartbeat, the retry, a worker that starts


class Crew:
    """One worker process at a time; `order` is what the next one is to die of."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
            **{name.upper(): str(getattr(settings, name)) for name in NAMES},
        }
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.chaos.dying_worker", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )

    def order(self, death: str) -> None:
        (self._folder / death).touch()

    async def replace_the_dead(self) -> None:
        await eventually(lambda: self.process.poll() is not None, 30, "the worker to die")
        assert self.process.returncode == -9, (self._folder / "log").read_text()
        self.process = self._start()

    def end(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def crew(installation: Running, tmp_path: Path) -> Generator[Crew]:
    folder = tmp_path / "orders"
    folder.mkdir()
    made = Crew(installation.runtime.settings, folder)
    yield made
    made.end()


@SQLITE
@rounds(short=1, full=50)
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_worker_killed_around_advance(
    installation: Running, crew: Crew, moment: str, rounds: int, figures: Figures
) -> None:
    event = await installation.create()
    await installation.welcome(event)
    assert await installation.titles(1) == ["You're subscribed to Summer party"]
    for number in range(rounds):
        crew.order(f"{moment}-advance_event")
        told = await installation.world.notify(event, title=f"News {number}")
        await crew.replace_the_dead()
        await eventually(
            lambda number=number: len(installation.http.requests) >= number + 2,
            RECOVERED_SECONDS,
            f"message {number} after the kill",
        )
        await installation.completed(told.id)
        assert await installation.world.states(told.id) == ["sent"]
    titles = [request.json()["title"] for request in installation.http.at("/hook")]
    wanted = [f"News {number}" for number in range(rounds)]
    figures(
        rounds=rounds,
        messages=rounds,
        lost=len(set(wanted) - set(titles)),
        duplicates=len(titles) - len(set(titles)),
        in_flight=0,
    )
    assert titles[1:] == wanted
    assert await installation.world.rows(OutboxRow, OutboxRow.done_at.is_(None)) == []


@SQLITE
@pytest.mark.chaos
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_worker_killed_around_a_reminder(
    installation: Running, crew: Crew, moment: str, figures: Figures
) -> None:
    event = await installation.create()
    await installation.welcome(event)
    await installation.titles(1)
    crew.order(f"{moment}-fire_reminder")
    await remind(installation, event, utc_now() + timedelta(seconds=4))
    await crew.replace_the_dead()
    await eventually(
        lambda: len(installation.http.requests) == 2, RECOVERED_SECONDS, "the reminder"
    )
    told = await installation.world.one(Notification, Notification.kind == "reminder")
    await installation.completed(told.id)
    assert await installation.world.states(told.id) == ["sent"]
    figures(messages=1, duplicates=len(installation.http.requests) - 2)
    assert len(installation.http.requests) == 2
