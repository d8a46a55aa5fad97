"""The system the demo talks to: a running one, or a temporary one."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import httpx2

from soonish.config import load_settings
from soonish.errors import Unavailable
from soonish.local.supervisor import RUN_WITH_PARENT

READY_SECONDS = 600.0  # seconds; the very first start builds Temporal
STOP_SECONDS = 20.0
_PORTS = ("PORT", "TEMPORAL_PORT", "TEMPORAL_UI_PORT", "MAIL_CATCHER_PORT")
# However the demo ends, its system does: the leash becomes the program, given with its argv[0].
_WITH_PARENT = [sys.executable, "-I", "-S", str(RUN_WITH_PARENT), sys.executable, sys.executable]
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME", "VIRTUAL_ENV")


@contextmanager
def system(url: str | None) -> Generator[tuple[str, str]]:
    """Yield the address of a system that shows its caught mail, and a line about it.

    Raise Unavailable if `url` does not answer or sends its mail away.
    """
    if url is not None:
        _check(url.rstrip("/"))
        yield url.rstrip("/"), f"Soonish runs at {url}."
        return
    present = load_settings().base_url
    try:
        _check(present)
    except Unavailable as error:
        with _temporary() as address:
            yield address, f"{error.detail} Using a temporary one at {address}."
    else:
        yield present, f"Soonish runs at {present}."


def _check(url: str) -> None:
    try:
        answer = httpx2.get(f"{url}/api/health", timeout=5)
        is_ours = answer.status_code == 200 and "parts" in answer.json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        is_ours = False
    if not is_ours:
        raise Unavailable(f"No Soonish answers at {url}.")
    if httpx2.get(f"{url}/dev/mail", timeout=5).status_code != 200:
        raise Unavailable(f"Soonish at {url} does not show its mail, so nobody could read it here.")


@contextmanager
def _temporary() -> Generator[str]:
    """Run `soonish up` in an empty home on free ports for the duration of the block."""
    with tempfile.TemporaryDirectory(prefix="soonish-demo-", ignore_cleanup_errors=True) as home:
        environment = _environment(home)
        process = subprocess.Popen(  # noqa: S603 - our own program, no shell # nosec B603
            [*_WITH_PARENT, "-m", "soonish.cli.main", "up"],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the demo, which then shuts it down properly
        )
        signal.signal(signal.SIGTERM, _leave)
        try:
            _wait_until_ready(process)
            yield environment["BASE_URL"]
        finally:
            _stop(process)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _environment(home: str) -> dict[str, str]:
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {
        **{name: str(port) for name, port in ports.items()},
        "BASE_URL": f"http://localhost:{ports['PORT']}",
        "SOONISH_HOME": home,
        "WORKERS": "1",
        "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
        "LOG_LEVEL": "WARNING",
    }


def _free_ports(count: int) -> list[int]:
    """Return ports below the ephemeral range, so that no outgoing connection takes one
    meanwhile."""
    found: list[int] = []
    while len(found) < count:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Raise Unavailable with the end of its output if it does not become ready."""
    lines: list[str] = []
    ready = threading.Event()
    threading.Thread(target=_read, args=(process, lines, ready), daemon=True).start()
    deadline = time.monotonic() + READY_SECONDS
    while not ready.wait(0.1):
        if process.poll() is not None or time.monotonic() > deadline:
            last = " / ".join(lines[-5:])
            raise Unavailable(f"A temporary system did not start: {last}")


def _read(process: subprocess.Popen[str], lines: list[str], ready: threading.Event) -> None:
    for line in process.stdout or ():
        lines.append(line.strip())
        if line.startswith("Soonish is ready"):
            ready.set()


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
