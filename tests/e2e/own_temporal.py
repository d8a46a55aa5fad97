"""A Temporal server that a test starts, freezes and ends, for a system with TEMPORAL_URL."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path

from soonish.config import Settings
from soonish.local.temporal_server import answers, ensure_temporal, server_command
from tests.support.ports import free_port
from tests.support.settings import make_settings
from tests.support.wait import wait_for


class OwnTemporal:
    """Keeps its store and its port between `stop()` and `start()`."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.settings: Settings = make_settings(
            home, temporal_port=free_port(), temporal_ui_port=free_port()
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.settings.temporal_port}"

    def start(self) -> None:
        command = server_command(ensure_temporal(lambda line: None), self.settings)
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        wait_for(lambda: asyncio.run(answers(self.settings)), 30, "Temporal to answer")

    def stop(self) -> None:
        """End it as a crash would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)
