"""`soonish up` as a user meets it: a real system, started, disturbed and stopped."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
from collections.abc import Generator
from pathlib import Path

import httpx2
import pytest

from tests.support.ports import accepts
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

# Within one xdist worker one after the other: each of these takes the whole machine.
pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[SoonishSystem]:
    with SoonishSystem(tmp_path_factory.mktemp("home")) as running:
        yield running


def health(system: SoonishSystem) -> int:
    return httpx2.get(f"{system.base_url}/api/health", timeout=5).status_code


def test_every_part_is_a_child_in_its_own_session(system: SoonishSystem) -> None:
    children = system.children()
    assert len(children) == 5
    assert len(system.pids("worker")) == 2
    for part in ("server start-dev", "soonish.local.mail_catcher", "soonish.cli.main api"):
        assert len(system.pids(part)) == 1
    assert all(os.getsid(pid) == pid for pid in children)


def test_it_says_where_each_part_is(system: SoonishSystem) -> None:
    for line in (
        f"Mail catcher is ready: 127.0.0.1:{system.mail_port}",
        f"Temporal is ready: 127.0.0.1:{system.temporal_port}",
        "Database is ready:",
        f"API is ready: http://127.0.0.1:{system.port}",
        "Worker 1 is ready",
        "Worker 2 is ready",
    ):
        assert any(said.startswith(line) for said in system.lines), line
    assert health(system) == 200


def test_the_console_leaves_housekeeping_to_the_log_files(system: SoonishSystem) -> None:
    """Each part has a file of its own; a request is a line in both, an activity is not."""
    logs = system.home / "logs"
    for name in ("worker-1.log", "worker-2.log"):
        wait_for(lambda name=name: "worker ready" in (logs / name).read_text(), 20)
    assert health(system) == 200
    for shown in (lambda: system.output, (logs / "api.log").read_text):
        wait_for(lambda shown=shown: "route=/api/health" in shown(), 20)
    assert not [line for line in system.lines if "worker ready" in line or "activity=" in line]
    assert stat.S_IMODE(logs.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in logs.iterdir()} == {0o600}


def test_secrets_are_made_for_the_owner_alone(system: SoonishSystem) -> None:
    mode = (system.home / "secrets.env").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_second_one_says_who_holds_the_home(system: SoonishSystem) -> None:
    done = system.cli("up")
    assert system.process
    assert done.returncode == 1
    expected = f"Soonish already runs in {system.home} (process {system.process.pid})."
    assert done.stderr.strip() == expected


@pytest.mark.parametrize(
    ("part", "name"),
    [("worker", "Worker"), ("api", "API"), ("mail_catcher", "Mail catcher"), ("start-dev", "Temp")],
)
def test_a_part_that_is_killed_comes_back(system: SoonishSystem, part: str, name: str) -> None:
    before = len(system.lines)
    killed = system.kill_part(part)

    def back() -> bool:
        said = system.lines[before:]
        return any(line.startswith(name) and " is ready" in line for line in said)

    wait_for(back, 60, f"{name} to be ready again")
    assert any("signal SIGKILL" in line for line in system.lines[before:])
    assert killed not in system.pids(part)
    assert health(system) == 200


def test_ctrl_c_stops_everything_and_it_starts_again(tmp_path: Path) -> None:
    system = SoonishSystem(tmp_path / "home")
    system.start()
    children = system.children()
    assert system.stop(signal.SIGINT) < 18
    assert "did not end in time" not in system.output
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not any(accepts(p) for p in (system.port, system.temporal_port, system.mail_port))
    secrets = (system.home / "secrets.env").read_text()

    system.start()
    assert (system.home / "secrets.env").read_text() == secrets
    # SIGTERM twice, as a process group's and make's: still an orderly end.
    assert system.process
    system.process.send_signal(signal.SIGTERM)
    assert system.stop() < 18


def test_killing_the_supervisor_ends_its_parts(tmp_path: Path) -> None:
    system = SoonishSystem(tmp_path / "home")
    system.start()
    system.kill()
    wait_for(lambda: not accepts(system.temporal_port))
    system.start()
    system.stop()


@pytest.mark.parametrize(
    "variable", ["PORT", "TEMPORAL_PORT", "TEMPORAL_UI_PORT", "MAIL_CATCHER_PORT"]
)
def test_a_taken_port_is_one_clear_line(tmp_path: Path, variable: str) -> None:
    system = SoonishSystem(tmp_path / "home")
    port = int(system.environment[variable])
    with socket.create_server(("127.0.0.1", port)):
        done = system.cli("up")
    assert done.returncode == 1
    assert done.stderr.strip() == f"Port {port} is taken. Set {variable} to another one."


def test_a_port_that_is_wanted_twice_is_one_clear_line(tmp_path: Path) -> None:
    system = SoonishSystem(tmp_path / "home")
    port = system.environment["PORT"]
    done = SoonishSystem(system.home, PORT=port, TEMPORAL_PORT=port).cli("up")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"TEMPORAL_PORT and PORT are both {port}. Set TEMPORAL_PORT to another one."
    )


def test_a_wrong_fingerprint_key_ends_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert SoonishSystem(home).cli("db", "upgrade").returncode == 0
    assert SoonishSystem(home).cli("event", "list").returncode == 0
    done = SoonishSystem(home, FINGERPRINT_KEY="another-key-" * 4).cli("up")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("FINGERPRINT_KEY is not the one this database was made with")


@pytest.mark.parametrize(
    "environment",
    [{"HOST": "0.0.0.0"}, {"BASE_URL": "https://soonish.example"}],  # noqa: S104
)
def test_the_catcher_is_not_for_strangers(tmp_path: Path, environment: dict[str, str]) -> None:
    done = SoonishSystem(tmp_path / "home", **environment).cli("up")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"{next(iter(environment))} is not loopback")
    assert "SMTP_SERVER" in line


def test_temporal_url_is_waited_for(tmp_path: Path) -> None:
    system = SoonishSystem(tmp_path / "home")
    address = f"127.0.0.1:{system.temporal_port}"
    system = SoonishSystem(tmp_path / "home", TEMPORAL_URL=address)
    system.start(wait=False)
    try:
        wait_for(lambda: any(line.startswith("API is ready") for line in system.lines), 60)
        waiting = f"Waiting for Temporal at {address} (TEMPORAL_URL) ..."
        wait_for(lambda: waiting in system.lines, 60)  # said by a process of its own
        assert system.lines.count(waiting) == 1
        assert health(system) == 200
        assert not system.pids("start-dev")
    finally:
        system.stop()


def test_make_passes_signals_on(tmp_path: Path) -> None:
    """What `make up` runs is replaced by the supervisor, so that a signal to make reaches it."""
    recipe = (Path(__file__).parents[2] / "Makefile").read_text()
    assert "RUN := exec .venv/bin" in recipe
    makefile = tmp_path / "Makefile"
    makefile.write_text("up:\n\t@exec sleep 60\n")
    make = subprocess.Popen(["make", "-f", str(makefile), "up"], stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{make.pid}/task/{make.pid}/children")
    child = int(wait_for(lambda: children.read_text().split())[0])
    wait_for(lambda: b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes())
    make.send_signal(signal.SIGTERM)
    make.wait(timeout=5)
    wait_for(lambda: not Path(f"/proc/{child}").exists())
