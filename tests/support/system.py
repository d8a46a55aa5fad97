"""The whole system in an empty home on free ports, started and stopped as a user does it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from soonish.local.caught_mail import CaughtMail, CaughtMessage, list_mails, read_mail
from tests.support.ports import free_port
from tests.support.wait import wait_for

ROOT = Path(__file__).parents[2]
START_SECONDS = 240.0  # beside other work on every core; alone it takes five
STOP_SECONDS = 20.0
_LINK = re.compile(r"https?://[^\s\"'<>]+")


class SoonishSystem:
    """`soonish up` as a child; use it as a context manager, or `start()` and `stop()` by hand.

    `environment` overrides settings by their names in the environment. The home is kept between
    `stop()` and the next `start()`, as are the ports.
    """

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.port, self.temporal_port = free_port(), free_port()
        self.mail_port = free_port()
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread()
        self._environment = {
            "SOONISH_HOME": str(home),
            "PORT": str(self.port),
            "TEMPORAL_PORT": str(self.temporal_port),
            "TEMPORAL_UI_PORT": str(free_port()),
            "MAIL_CATCHER_PORT": str(self.mail_port),
            "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
            "WORKERS": "2",
            "RATE_LIMITS_ENABLED": "false",
            **environment,
        }

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def temporal_address(self) -> str:
        return f"127.0.0.1:{self.temporal_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to belong to this system."""
        return {**os.environ, **self._environment}

    def __enter__(self) -> SoonishSystem:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self, wait: bool = True) -> None:
        """Start it, and wait until it says that it is ready unless `wait` is False."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "soonish.cli.main", "up"],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        ready = f"Soonish is ready at {self.base_url}"
        try:
            wait_for(lambda: ready in self.lines or self._ended(), seconds, ready)
            assert ready in self.lines
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"Soonish did not start:\n{self.output}") from error

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Stop it as Ctrl-C or `kill` does; return the seconds that it took."""
        if self._ended() or not self.process:
            return 0.0
        started = time.monotonic()
        self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        seconds = time.monotonic() - started
        self._reader.join(STOP_SECONDS)
        assert code == 0, self.output
        return seconds

    def kill(self) -> None:
        """End the supervisor with SIGKILL, and wait until its parts have gone after it."""
        if self.process and not self._ended():
            parts = self.children()
            self.process.kill()
            self.process.wait()
            # One that has not started yet notices only when it has.
            wait_for(lambda: not any(_alive(pid) for pid in parts), START_SECONDS, "parts to end")
            self._reader.join(STOP_SECONDS)

    @property
    def output(self) -> str:
        """Everything that it has printed since `start`: its own lines and the parts' logs."""
        return "\n".join(self.lines)

    # processes

    def children(self) -> dict[int, str]:
        """The parts that run: process id to command line."""
        assert self.process
        found = {pid: _command(pid) for pid in _children_of(self.process.pid)}
        return {pid: command for pid, command in found.items() if command}

    def pids(self, part: str) -> list[int]:
        """The process ids of the parts whose command line contains this, e.g. `worker`."""
        return [pid for pid, command in self.children().items() if part in command]

    def kill_part(self, part: str) -> int:
        """SIGKILL one process of this part; return its id. The supervisor starts another."""
        pid = self.pids(part)[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the CLI against this system."""
        self.home.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "soonish.cli.main", *arguments]
        return subprocess.run(
            command,
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    # caught mail

    def mails(self, query: str = "", limit: int = 10_000) -> list[CaughtMail]:
        """What was caught, newest first; `query` as in `list_mails`."""
        return list_mails(self.home, limit, query)

    def mails_to(self, address: str) -> list[CaughtMail]:
        return [mail for mail in self.mails(address) if address in mail.recipients]

    def wait_for_mail(
        self, address: str, subject: str = "", seconds: float = 120.0
    ) -> CaughtMessage:
        """The newest mail to this address whose subject contains this, once there is one."""

        def find() -> list[CaughtMail]:
            return [mail for mail in self.mails_to(address) if subject in mail.subject]

        found = wait_for(find, seconds, f"a mail to {address} about {subject!r}")
        return read_mail(self.home, found[0].name)

    def _read(self, process: subprocess.Popen[Any]) -> None:
        lines = self.lines
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                lines.append(line.rstrip("\n"))

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None


def links(message: CaughtMessage, containing: str = "") -> list[str]:
    """The links in a mail's text part that contain this."""
    return [link for link in _LINK.findall(message.text) if containing in link]


def _children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(number) for number in text.split()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except FileNotFoundError:
        return ""


def _alive(pid: int) -> bool:
    return bool(_command(pid))
