"""A real Redis server for tests, on a free port; `stop` and `start` it as often as you like."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ports import accepts, free_port
from tests.support.wait import wait_for

ROOT = Path(__file__).parents[2]


@dataclass
class RedisServer:
    """Keeps nothing: what was counted is gone after a `stop`."""

    program: str
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "dir": str(self.folder)}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([self.program, *arguments], stdout=log, stderr=log)
        wait_for(lambda: accepts(self.port) or self._ended(), 10, "Redis to listen")
        assert not self._ended(), (self.folder / "log").read_text()

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=10)

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None


@contextlib.contextmanager
def redis() -> Generator[RedisServer]:
    found = subprocess.run(
        [ROOT / "scripts/bootstrap.sh", "redis"], capture_output=True, text=True, check=False
    )
    program = found.stdout.strip()
    assert program, "no redis-server: `scripts/bootstrap.sh test` installs one"
    with tempfile.TemporaryDirectory(prefix="soonish-redis-") as folder:
        server = RedisServer(program.splitlines()[0], Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
