"""A whole Soonish on free ports in a home of its own, with sinks beside it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The condition's first true value; TimeoutError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise TimeoutError(what)


@dataclass
class Sink:
    """HTTP and SMTP servers that count (bench.sinks says what). `mail` are the settings for it."""

    http_port: int
    smtp_port: int
    _client: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=60))

    def stats(self) -> dict[str, Any]:
        return self._ask("stats")

    def times(self) -> dict[str, list[float]]:
        return self._ask("times")

    def reset(self) -> None:
        self._ask("reset")

    def close(self) -> None:
        self._client.close()

    def _ask(self, what: str) -> dict[str, Any]:
        return self._client.get(f"http://127.0.0.1:{self.http_port}/{what}").json()

    @property
    def mail(self) -> dict[str, str]:
        server = {"SMTP_SERVER": "127.0.0.1", "SMTP_PORT": str(self.smtp_port)}
        return server | {"SMTP_SECURITY": "none"}


@contextmanager
def sink(delay_ms: float = 0, addresses: int = 0) -> Generator[Sink]:
    """Sinks at 127.0.0.1 and, for HTTP, at 127.0.1.1 to 127.0.1.`addresses`."""
    made = Sink(free_port(), free_port())
    arguments = [made.http_port, made.smtp_port, delay_ms, addresses]
    command = [sys.executable, "-m", "bench.sinks", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until(lambda: _listens(made.smtp_port), 10, "the sink")
        yield made
    finally:
        made.close()
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class System:
    """A running `soonish up`."""

    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[str]
    ready_seconds: float

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['PORT']}"

    def pids(self) -> list[int]:
        """The supervisor and everything below it."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += _children(pid)
        return found

    def memory_mb(self) -> float:
        """Proportional set size of all processes: shared pages count once."""
        return sum(_pss_kb(pid) for pid in self.pids()) / 1024

    @contextmanager
    def peak_memory(self) -> Generator[list[float]]:
        """Look at the memory every half second until the block ends: [the most MB seen]."""
        seen, ended = [self.memory_mb()], threading.Event()

        def watch() -> None:
            while not ended.wait(0.5):
                seen[0] = max(seen[0], self.memory_mb())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()


def _children(pid: int) -> list[int]:
    """Of every thread of the process; none where it has just ended."""
    try:
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for one in lists for child in one.split()]


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _environment(home: Path, settings: dict[str, str]) -> dict[str, str]:
    ports = ("PORT", "TEMPORAL_PORT", "TEMPORAL_UI_PORT", "MAIL_CATCHER_PORT")
    return (
        os.environ
        | {name: str(free_port()) for name in ports}
        | {
            "SOONISH_HOME": str(home),
            "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
            "RATE_LIMITS_ENABLED": "false",
            "LOG_LEVEL": "WARNING",
            "WORKERS": "2",
        }
        | settings
    )


@contextmanager
def system(home: Path | None = None, **settings: str) -> Generator[System]:
    """`soonish up` until the block ends; in a new home unless one is given. Its log is there."""
    folder = home or Path(tempfile.mkdtemp(prefix="soonish-bench-"))
    environment = _environment(folder, settings)
    started = time.monotonic()
    log = folder / "bench.log"
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "soonish.cli.main", "up"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Soonish is ready"):
                break
        else:
            raise RuntimeError(f"soonish up ended before it was ready:\n{log.read_text()}")
        yield System(folder, environment, process, time.monotonic() - started)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        if home is None:
            shutil.rmtree(folder, ignore_errors=True)
