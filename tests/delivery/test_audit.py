"""The last line: what raw functions do inside a delivery thread, with no guard in between."""

# ruff: noqa: SIM115  # files are opened here to see that they cannot be
from __future__ import annotations

import _socket
import contextlib
import os
import pty
import shutil
import signal
import socket
import sqlite3
import subprocess
import syslog
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from soonish.delivery.transports.attempt import Attempt, BlockedTarget
from soonish.delivery.transports.egress import audit_hook
from tests.delivery.test_guard import in_delivery
from tests.support.http_sink import HttpSink

NOWHERE = "/tmp/soonish-audit-test"  # noqa: S108  # never made


def _connect(address: tuple[str, int]) -> None:
    with contextlib.closing(_socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)) as sock:
        sock.connect(address)


def _connect_ex(address: tuple[str, int]) -> None:
    with contextlib.closing(_socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)) as sock:
        sock.connect_ex(address)


def assert_refused(action: Callable[[], Any]) -> None:
    """The hook raised BlockedTarget, whatever the standard library made of it, and noted it."""
    attempt = Attempt()
    outcome = in_delivery(action, attempt)
    assert attempt.fault == "blocked"
    if not isinstance(outcome, BlockedTarget):  # getfqdn and create_server wrap an OSError
        assert not isinstance(outcome, socket.socket | subprocess.Popen)


@pytest.mark.parametrize("connect", [_connect, _connect_ex])
def test_raw_connects_reach_only_what_the_guard_approved(
    connect: Callable[[tuple[str, int]], None], http_sink: HttpSink
):
    place = ("127.0.0.1", http_sink.port)
    for approved in (set[tuple[str, int]](), {("127.0.0.1", http_sink.port + 1)}):
        attempt = Attempt(approved=approved)
        assert isinstance(in_delivery(lambda: connect(place), attempt), BlockedTarget)
        assert attempt.fault == "blocked"
    assert http_sink.connections == 0
    assert in_delivery(lambda: connect(place), Attempt(approved={place})) is None


def _made(family: int, kind: int) -> Callable[[], None]:
    def make() -> None:
        socket.socket(family, kind).close()

    return make


@pytest.fixture
def datagrams() -> Generator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


def test_no_datagrams_from_a_socket_that_somebody_else_made(datagrams: socket.socket):
    assert_refused(lambda: datagrams.sendto(b"x", ("127.0.0.1", 9)))
    assert_refused(lambda: datagrams.sendmsg([b"x"], [], 0, ("127.0.0.1", 9)))


@pytest.mark.parametrize(
    "action",
    [
        _made(socket.AF_INET, socket.SOCK_DGRAM),
        _made(socket.AF_INET6, socket.SOCK_DGRAM),
        _made(socket.AF_UNIX, socket.SOCK_STREAM),
        _made(socket.AF_INET, socket.SOCK_RAW),
        _made(socket.AF_NETLINK, socket.SOCK_RAW),
        _made(socket.AF_PACKET, socket.SOCK_RAW),
        lambda: socket.create_server(("127.0.0.1", 0)),
        lambda: socket.gethostbyname("localhost"),
        lambda: socket.gethostbyname_ex("localhost"),
        lambda: socket.gethostbyaddr("127.0.0.1"),
        lambda: socket.getnameinfo(("127.0.0.1", 80), 0),
        lambda: socket.getaddrinfo("localhost", 80),
        lambda: socket.getfqdn("127.0.0.1"),
    ],
)
def test_no_other_way_out(action: Callable[[], Any]):
    assert_refused(action)


@pytest.mark.parametrize(
    "action",
    [
        lambda: subprocess.run(["/bin/true"], check=False),
        lambda: subprocess.Popen("true", shell=True),  # noqa: S602
        lambda: os.system("true"),  # noqa: S605
        lambda: os.popen("true"),  # noqa: S605
        lambda: os.fork(),
        lambda: os.forkpty(),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: os.spawnv(os.P_WAIT, "/bin/true", ["true"]),  # noqa: S606
        lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
        lambda: pty.spawn("/bin/true"),
        lambda: os.kill(os.getpid(), signal.SIGTERM),
        lambda: syslog.syslog("x"),
    ],
)
def test_no_program_is_started_and_none_is_ended(action: Callable[[], Any]):
    assert_refused(action)


@pytest.mark.parametrize(
    "action",
    [
        lambda: open("/etc/passwd"),
        lambda: open("/etc/hostname", "rb"),
        lambda: open(b"/etc/passwd"),
        lambda: os.open("/etc/passwd", os.O_RDONLY),
        lambda: open("/proc/self/environ"),
        lambda: open("../../../etc/passwd"),
        lambda: open(f"{os.path.dirname(os.__file__)}/../../../../etc/passwd"),
        lambda: Path("~/.netrc").expanduser().read_text(),
        lambda: Path("pyproject.toml").read_text(),
        lambda: open(os.__file__, "a"),
        lambda: open(os.__file__, "r+"),
        lambda: os.open(os.__file__, os.O_RDWR),
        lambda: open(NOWHERE, "x"),
        lambda: tempfile.mkstemp(),
        lambda: tempfile.NamedTemporaryFile(),
        lambda: os.mkdir(NOWHERE),
        lambda: os.remove(NOWHERE),
        lambda: os.rename(NOWHERE, NOWHERE + "2"),
        lambda: os.symlink("/etc/passwd", NOWHERE),
        lambda: os.link("/etc/passwd", NOWHERE),
        lambda: os.chmod(NOWHERE, 0o600),
        lambda: os.chown(NOWHERE, 0, 0),
        lambda: os.utime(NOWHERE),
        lambda: os.truncate(NOWHERE, 0),
        lambda: shutil.rmtree(NOWHERE),
        lambda: sqlite3.connect(":memory:"),
    ],
)
def test_no_file_but_code_and_certificates(action: Callable[[], Any]):
    assert_refused(action)
    assert not os.path.exists(NOWHERE)


def test_code_and_certificates_may_be_read():
    assert "def " in in_delivery(lambda: Path(os.__file__).read_text())
    assert b"TZif" in in_delivery(lambda: Path("/usr/share/zoneinfo/UTC").read_bytes())
    assert b"CERTIFICATE" in in_delivery(
        lambda: Path(audit_hook.DEFAULT_CA_BUNDLE_PATH).read_bytes()
    )


def test_a_link_out_of_a_readable_folder_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    in_delivery(lambda: None)  # the hook is there
    readable = tmp_path / "readable"
    readable.mkdir()
    (readable / "note").write_text("fine")
    (tmp_path / "secrets.env").write_text("secret")
    (readable / "link").symlink_to(tmp_path / "secrets.env")
    (readable / "secrets.env").write_text("secret")
    real = os.path.realpath(readable)
    monkeypatch.setattr(audit_hook, "_roots", (real,))
    monkeypatch.setattr(audit_hook, "_closed", (f"{real}/secrets.env",))
    assert in_delivery(lambda: (readable / "note").read_text()) == "fine"
    for name in ("link", "secrets.env", "../secrets.env"):
        assert isinstance(in_delivery((readable / name).read_text), BlockedTarget)


def test_outside_of_deliveries_everything_works(tmp_path: Path, http_sink: HttpSink):
    in_delivery(lambda: None)
    (tmp_path / "file").write_text("x")
    _connect(("127.0.0.1", http_sink.port))
    assert subprocess.run(["/bin/true"], check=False).returncode == 0
    assert sqlite3.connect(":memory:").close() is None
