"""The encryption key is changed while the system sends; each step is killed, then run again."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator

import pytest
from cryptography.fernet import Fernet, InvalidToken

from soonish.config import read_secrets_file
from tests.e2e.crowd import Crowd, gather
from tests.support.http_sink import HttpSink, serve_http
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]
PEOPLE = 400
STEPS = ("add", "promote", "reencrypt", "drop")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[SoonishSystem]:
    with SoonishSystem(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def sink() -> Generator[HttpSink]:
    with serve_http() as made:
        yield made


@pytest.fixture(scope="module")
def crowd(system: SoonishSystem, sink: HttpSink) -> Crowd:
    return gather(system, sink, PEOPLE)


def kill_during(system: SoonishSystem, step: str, after: float) -> None:
    """Start the step, and end it with SIGKILL so many seconds later."""
    command = [sys.executable, "-m", "soonish.cli.main", "secrets", "rotate", step]
    process = subprocess.Popen(
        command,
        cwd=system.home,
        env=system.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)  # where in its work it is hit is left to chance
    process.kill()
    process.wait()


def ciphertexts(system: SoonishSystem) -> list[str]:
    with sqlite3.connect(system.home / "soonish.db") as database:
        query = "SELECT email FROM users UNION ALL SELECT apprise_url FROM integrations"
        return [value for (value,) in database.execute(query) if value]


def current_keys(system: SoonishSystem) -> list[str]:
    return read_secrets_file(system.home)["ENCRYPTION_KEY"].split(",")


def test_a_rotation_while_the_system_sends(crowd: Crowd) -> None:
    system = crowd.system
    [old] = current_keys(system)
    sent: dict[str, int] = {}
    for number, step in enumerate(STEPS):
        title = f"During {step}"
        sent[title] = crowd.organizer.notify(crowd.event, title)["notification_id"]
        for after in (0.6, 1.2):
            kill_during(system, step, after + number * 0.1)
        if step == "promote":
            system.kill_part("worker")
            wait_for(lambda: len(system.pids("worker")) == 2, 30, "another worker to start")
        done = system.cli("secrets", "rotate", step)
        assert done.returncode == 0, done.stderr
    for title, notification_id in sent.items():
        crowd.everybody_has(title, 90)
        crowd.ledger_says_sent(notification_id)
    [new] = current_keys(system)
    assert new != old
    for value in ciphertexts(system):
        Fernet(new).decrypt(value)
        with pytest.raises(InvalidToken):
            Fernet(old).decrypt(value)
    title = "After all"
    crowd.organizer.notify(crowd.event, title)
    crowd.everybody_has(title, 60)
    assert "does not fit" not in system.output
