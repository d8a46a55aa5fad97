"""The command as a process of its own: its entry points, `api` and `worker`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.cli.conftest import CommandLine
from tests.support.ports import accepts, free_port
from tests.support.wait import wait_for

pytestmark = pytest.mark.processes

SOONISH = [sys.executable, "-m", "soonish.cli.main"]
HEAVY = ("apprise", "sqlalchemy", "temporalio", "fastapi", "pydantic", "uvicorn")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SOONISH, *words], capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def started(*words: str) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*SOONISH, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def stopped(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, float]:
    """Its exit code, and the seconds it took to end."""
    since = time.monotonic()
    process.send_signal(number)
    return process.wait(30), time.monotonic() - since


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys, soonish.cli.main as main\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert "Commands:" in run("--help").stdout


def test_without_a_database_there_is_one_line(empty_home: Path) -> None:
    for words in (("event", "list"), ("api",)):
        done = run(*words)
        assert done.returncode == 1
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith(f"There is no database at {empty_home}")


def test_a_wrong_setting_is_one_line(soonish: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "many")
    for words in (("event", "list"), ("api",), ("worker",), ("worker", "--processes", "2")):
        done = run(*words)
        assert done.returncode == 1
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("PORT: ")


def test_a_taken_port_is_one_line(soonish: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(free_port()))
    with started("api") as first:
        wait_for(lambda: accepts(int(os.environ["PORT"])), 30)
        done = run("api")
        assert (done.returncode, done.stderr.strip()) == (
            1,
            f"Port {os.environ['PORT']} is taken. Set PORT to another one.",
        )
        assert stopped(first)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_api_serves_and_ends_in_time(
    soonish: CommandLine, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    with started("api") as process, httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_for(lambda: accepts(port), 30)
        answer = client.get("/api/health")  # its connection stays open
        assert answer.status_code == 200
        assert "server" not in answer.headers
        code, seconds = stopped(process, number)
        assert (code, seconds < 3) == (0, True)


def test_the_api_does_not_start_with_another_key(
    soonish: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    soonish.do("event", "list")
    monkeypatch.setenv("FINGERPRINT_KEY", "another-key-" * 4)
    monkeypatch.setenv("PORT", str(free_port()))
    done = run("api")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("FINGERPRINT_KEY is not the one")


def _children(process: subprocess.Popen[str]) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def _workers(soonish: CommandLine) -> int:
    """How many run; none where a busy machine did not find out within half a second."""
    found = {one["name"]: one for one in soonish("doctor", "--json").json()}
    number = found["worker"]["detail"].split()[0]
    return int(number) if number.isdigit() else 0


def test_workers_are_kept_running_and_ended_together(soonish: CommandLine) -> None:
    with started("worker", "--processes", "2") as process:
        wait_for(lambda: _workers(soonish) == 2, 60, "two workers")
        first = _children(process)
        assert len(first) == 2
        os.kill(first[0], signal.SIGKILL)
        wait_for(lambda: len(set(_children(process)) - set(first)) == 1, 30, "another worker")
        children = _children(process)
        code, seconds = stopped(process)
        assert (code, seconds < 12) == (0, True)
        assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def test_a_worker_may_serve_one_queue(
    soonish: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_WORKFLOW_TASK_QUEUE", "flows")
    monkeypatch.setenv("TEMPORAL_ACTIVITY_TASK_QUEUE", "acts")
    wrong = run("worker", "--queue", "other")
    assert wrong.returncode == 2
    assert "there is flows and acts" in " ".join(wrong.stderr.split())
    with started("worker", "--queue", "acts") as process:
        wait_for(lambda: _workers(soonish) == 1, 60, "a worker")
        assert stopped(process)[0] == 0


def test_the_doctor_finds_problems_and_remedies(soonish: CommandLine) -> None:
    done = soonish("doctor", "--json")
    found = {one["name"]: one for one in done.json()}
    assert done.code == 1
    well = {name for name, one in found.items() if one["ok"]}
    assert {"settings", "home", "secrets", "database", "keys", "temporal", "outbox"} <= well
    assert "soonish worker" in found["worker"]["remedy"]
    assert done.line.startswith("Not well: ")
    assert "PROBLEM  worker" in soonish("doctor").out


def test_the_doctor_without_anything(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_URL", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("MAIL_CATCHER_PORT", str(free_port()))
    found = {one["name"]: one for one in CommandLine(empty_home)("doctor", "--json").json()}
    assert "There is no database" in found["database"]["detail"]
    assert not found["temporal"]["ok"]
    assert not found["mail"]["ok"]
    assert not (empty_home / "soonish.db").exists()
    monkeypatch.setenv("DATABASE_URL", "mysql://x")
    (only,) = CommandLine(empty_home)("doctor", "--json").json()
    assert "mysql" in only["detail"]
