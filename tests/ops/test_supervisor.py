"""Runtime are started again when they die, end in order, and end with their supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from soonish.errors import ConfigurationError
from soonish.local.lock import check_port, only_one
from soonish.local.supervisor import Backoff, Part, Supervisor
from tests.support.wait import eventually, wait_for

pytestmark = pytest.mark.processes

GROUPS = ("first", "second")

# Says that it is ready, and on SIGTERM writes its name into a file, then ends.
POLITE = """
import os, signal, sys, time
from soonish.local.parent import notify_ready, watch_parent
name, log, linger = sys.argv[1], sys.argv[2], float(sys.argv[3])
def stop(*_):
    time.sleep(linger)
    with open(log, "a") as file:
        file.write(name + "\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
with open(log + ".pids", "a") as file:
    file.write(f"{name} {os.getpid()}\\n")
watch_parent()
notify_ready()
while True:
    time.sleep(60)
"""
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(flush=True)\n"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
async def parts(said: list[str]) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(GROUPS, said.append)
    yield supervisor
    await supervisor.stop()


def polite(log: Path, name: str, group: str = "first", linger: float = 0, **options: Any) -> Part:
    command = [sys.executable, "-c", POLITE, name, str(log), str(linger)]
    return Part(name=name, group=group, command=command, **options)


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def session_weight(pid: int) -> str | None:
    """None where the kernel does not weigh sessions."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/autogroup").read_text().strip().partition(" ")[2]
    return None


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


async def test_a_part_says_that_it_is_ready(
    parts: Supervisor, said: list[str], tmp_path: Path
) -> None:
    child = parts.start(polite(tmp_path / "log", "One"))
    await asyncio.wait_for(child.ready.wait(), 10)
    assert said == ["One is ready"]
    assert child.process
    assert os.getsid(child.process.pid) == child.process.pid


async def test_a_part_steps_back_on_a_busy_processor(parts: Supervisor, tmp_path: Path) -> None:
    child = parts.start(polite(tmp_path / "log", "One", nice=7))
    await asyncio.wait_for(child.ready.wait(), 10)
    assert child.process
    pid, ours = child.process.pid, os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, ours + 7)
    assert session_weight(pid) in (None, "nice 7")


async def test_groups_end_in_order(parts: Supervisor, tmp_path: Path) -> None:
    log = tmp_path / "log"
    children = [
        parts.start(polite(log, "late", "second")),
        parts.start(polite(log, "slow", "first", linger=0.3)),
        parts.start(polite(log, "quick", "first")),
    ]
    for child in children:
        await asyncio.wait_for(child.ready.wait(), 10)
    await parts.stop()
    assert log.read_text().split() == ["quick", "slow", "late"]


async def test_a_part_that_dies_is_started_again(
    parts: Supervisor, said: list[str], tmp_path: Path
) -> None:
    child = parts.start(polite(tmp_path / "log", "One", backoff=Backoff(first=0.05)))
    await asyncio.wait_for(child.ready.wait(), 10)
    assert child.process
    os.kill(child.process.pid, signal.SIGKILL)
    await eventually(lambda: len(said) == 3)
    assert said[1:] == ["One ended (signal SIGKILL); it starts again in 0.05 s.", "One is ready"]


async def test_the_delay_doubles_up_to_its_limit(parts: Supervisor, said: list[str]) -> None:
    fast = Backoff(first=0.01, last=0.03)
    parts.start(Part("One", "first", ["/bin/sh", "-c", "exit 7"], backoff=fast))
    await eventually(lambda: len(said) >= 4)
    delays = [line.split(" in ")[1] for line in said[:4]]
    assert delays == ["0.01 s.", "0.02 s.", "0.03 s.", "0.03 s."]
    assert said[0].startswith("One ended (exit code 7)")


async def test_a_part_that_ran_well_starts_again_at_once(
    parts: Supervisor, said: list[str]
) -> None:
    fast = Backoff(first=0.01, healthy_after=0.0)
    parts.start(Part("One", "first", ["/bin/sh", "-c", "exit 7"], backoff=fast))
    await eventually(lambda: len(said) >= 3)
    assert all(line.endswith(" 0.01 s.") for line in said[:3])


async def test_a_deaf_part_is_killed(parts: Supervisor, said: list[str], tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    code = f"{DEAF}open({str(flag)!r}, 'w').close()\ntime.sleep(60)"
    part = Part("One", "first", [sys.executable, "-c", code], stop_seconds=0.2)
    child = parts.start(part)
    await eventually(flag.exists)
    assert child.process
    await parts.stop()
    assert child.process.returncode == -signal.SIGKILL
    assert said == ["One did not end in time and is killed."]


async def test_a_part_that_ends_as_it_is_killed_stops_nobody(tmp_path: Path) -> None:
    """Its process is gone, and collected, between the last look at it and the kill."""
    pids: list[int] = []

    def end_it(line: str) -> None:
        if "did not end in time" in line:
            os.killpg(pids[0], signal.SIGKILL)
            wait_for(lambda: not alive(pids[0]), 5)

    supervisor = Supervisor(GROUPS, end_it)
    child = supervisor.start(polite(tmp_path / "log", "One", linger=60, stop_seconds=0.1))
    await asyncio.wait_for(child.ready.wait(), 10)
    assert child.process
    pids.append(child.process.pid)
    await supervisor.stop()
    assert child.process.returncode == -signal.SIGKILL


async def test_a_probe_decides_for_foreign_programs(
    parts: Supervisor, said: list[str], tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    command = ["/bin/sh", "-c", f"touch {flag}; exec sleep 60"]

    async def probe() -> bool:
        return flag.exists()

    child = parts.start(Part("Foreign", "first", command, "here", probe=probe, foreign=True))
    await asyncio.wait_for(child.ready.wait(), 10)
    assert said == ["Foreign is ready: here"]
    assert child.process
    await parts.stop()
    assert child.process.returncode == -signal.SIGTERM


async def test_a_foreign_program_shows_its_title_alone(parts: Supervisor, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    code = f"import time; open({str(flag)!r}, 'w').close(); time.sleep(60)"
    command = [sys.executable, "-c", code, "worker.option=1"]

    async def probe() -> bool:
        return flag.exists()

    child = parts.start(Part("Foreign", "first", command, probe=probe, foreign=True, title="a b"))
    await asyncio.wait_for(child.ready.wait(), 10)
    assert child.process
    assert command_line(child.process.pid) == "a b"


async def test_stopping_while_a_part_waits_to_start_again(
    parts: Supervisor, said: list[str]
) -> None:
    parts.start(Part("One", "first", ["/bin/sh", "-c", "exit 7"]))
    await eventually(lambda: bool(said))
    await asyncio.wait_for(parts.stop(), 0.4)


RUNS_PARTS = """
import asyncio, sys
from pathlib import Path
from soonish.local.supervisor import Part, Supervisor
async def main():
    parts = Supervisor(("all",), lambda line: print(line, flush=True))
    code, log = sys.argv[1:]
    parts.start(Part("Own", "all", [sys.executable, "-c", code, "own", log, "0"]))
    async def probe(): return True
    pids = log + ".pids"
    command = ["/bin/sh", "-c", f"echo foreign $$ >> {pids}; exec sleep 60"]
    parts.start(Part("Foreign", "all", command, probe=probe, foreign=True))
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_parts_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    log, pids = tmp_path / "log", tmp_path / "log.pids"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RUNS_PARTS), POLITE, str(log)],
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: pids.exists() and len(pids.read_text().splitlines()) == 2)
    numbers = [int(line.split()[1]) for line in pids.read_text().splitlines()]
    assert all(alive(pid) for pid in numbers)
    supervisor.kill()
    supervisor.wait()
    wait_for(lambda: not any(alive(pid) for pid in numbers))
    assert log.read_text() == "own\n"


def test_one_at_a_time(tmp_path: Path) -> None:
    message = rf"\(process {os.getpid()}\)"
    with only_one(tmp_path), pytest.raises(ConfigurationError, match=message), only_one(tmp_path):
        pytest.fail("two hold it")
    with only_one(tmp_path):
        assert (tmp_path / "up.lock").read_text() == str(os.getpid())


def test_a_taken_port_is_named_with_its_variable(free_port: Callable[[], int]) -> None:
    port = free_port()
    check_port("127.0.0.1", port, "PORT")
    with socket.create_server(("127.0.0.1", port)):
        message = f"Port {port} is taken. Set PORT to another one."
        with pytest.raises(ConfigurationError, match=message):
            check_port("127.0.0.1", port, "PORT")


def test_an_address_of_another_machine() -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1 is no address of this machine"):
        check_port("192.0.2.1", 20_000, "PORT")


def test_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="SOONISH_HOME"), only_one(tmp_path / "file"):
        pytest.fail("a file is no home")
