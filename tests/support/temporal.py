"""A real Temporal server for tests, started as `soonish up` starts it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from soonish.config import Settings
from soonish.local.temporal_server import answers, ensure_temporal, server_command
from tests.support.ports import accepts, free_port
from tests.support.settings import make_settings
from tests.support.wait import wait_for


@dataclass(frozen=True)
class TemporalServer:
    """Its address, the program, and the settings that it was started with."""

    address: str
    binary: Path
    settings: Settings


@contextlib.contextmanager
def temporal() -> Generator[TemporalServer]:
    """Start a server on free ports with an empty store; both are gone afterwards."""
    binary = ensure_temporal(lambda line: None)
    with tempfile.TemporaryDirectory(prefix="soonish-temporal-") as folder:
        settings = make_settings(
            Path(folder), temporal_port=free_port(), temporal_ui_port=free_port()
        )
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(server_command(binary, settings), stdout=log, stderr=log)
        try:
            port = settings.temporal_port
            wait_for(lambda: accepts(port) or process.poll() is not None, 30, "Temporal to listen")
            assert process.poll() is None, (Path(folder) / "log").read_text()
            wait_for(lambda: _answers(settings), 30, "Temporal to answer")
            yield TemporalServer(settings.temporal_address, binary, settings)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:  # a machine under load; its store is thrown away
                process.kill()
                process.wait()


def _answers(settings: Settings) -> bool:
    """Asked from a thread, because the test's own event loop may be running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(answers(settings))).result()
