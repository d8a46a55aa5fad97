"""The audit hook, the last line of defence behind the socket guard.

It restricts delivery threads only: they open TCP sockets to addresses that the guard approved,
send no datagrams, start no programs, and read nothing but code, certificates and time zones.
See docs/architecture.md#egress-guard.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
import sysconfig
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apprise
from requests.utils import DEFAULT_CA_BUNDLE_PATH

import soonish
from soonish.delivery.transports.attempt import BlockedTarget, current, in_delivery_thread

_FORBIDDEN = frozenset(
    {
        "socket.sendto",
        "socket.sendmsg",
        "socket.bind",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
        "socket.getnameinfo",
        "sqlite3.connect",
        "syslog.openlog",
        "syslog.syslog",
        "webbrowser.open",
        "os.kill",
        "os.chown",
        "os.utime",
        "os.setxattr",
        "os.startfile",
        "shutil.rmtree",
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.remove",
        "os.rename",
        "os.mkdir",
        "os.rmdir",
        "os.symlink",
        "os.link",
        "os.chmod",
        "os.truncate",
        "ctypes.dlopen",
        "pty.spawn",
    }
)
# -1 for a socket made from a file descriptor, which has the kind itself.
_FAMILIES = (-1, socket.AF_INET, socket.AF_INET6)
_KINDS = (socket.SOCK_STREAM, -1 & 0xF)
_KIND_MASK = 0xF  # without the flags that Linux adds
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_roots: tuple[str, ...] = ()
_closed: tuple[str, ...] = ()
_busy = threading.local()


def install(extra_roots: Sequence[str] = (), closed: Sequence[str] = ()) -> None:
    """Add the hook for the life of the process (Python has no way to remove one).

    `extra_roots` may be read as well; `closed` paths may not, even below a readable folder.
    """
    global _roots, _closed
    _closed = tuple(os.path.realpath(path) for path in closed)
    _roots = tuple(dict.fromkeys(os.path.realpath(p) for p in (*_readable(), *extra_roots) if p))
    sys.addaudithook(_hook)


def _readable() -> list[str]:
    """Return the folders and files that code in a delivery thread may read."""
    paths = ssl.get_default_verify_paths()
    certificates = [paths.cafile, paths.capath, paths.openssl_cafile, paths.openssl_capath]
    packages = [str(Path(m.__file__ or "").parent) for m in (apprise, soonish)]
    code = [sysconfig.get_path(n) for n in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [
        *(c for c in certificates if c),
        DEFAULT_CA_BUNDLE_PATH,
        *packages,
        *code,
        "/usr/share/zoneinfo",
    ]


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not in_delivery_thread():
        return
    if event in _FORBIDDEN:
        raise _refused(f"a delivery may not use {event}")
    judge = _JUDGES.get(event)
    if judge is not None and not getattr(_busy, "judging", False):
        _busy.judging = True  # the judge itself raises events too
        try:
            judge(args)
        finally:
            _busy.judging = False


def _refused(what: str) -> BlockedTarget:
    with contextlib.suppress(BlockedTarget):  # a delivery thread between attempts
        current().fault = "blocked"
    return BlockedTarget(what)


def _judge_connect(args: tuple[Any, ...]) -> None:
    address = args[1]
    if not isinstance(address, tuple) or (str(address[0]), address[1]) not in current().approved:
        raise _refused("a delivery may connect to checked addresses only")


def _judge_socket(args: tuple[Any, ...]) -> None:
    _, family, kind, _ = args
    if family not in _FAMILIES or kind & _KIND_MASK not in _KINDS:
        raise _refused("a delivery may open TCP sockets only")


def _judge_open(args: tuple[Any, ...]) -> None:
    path, mode, flags = args
    if isinstance(path, int):
        return
    if (mode and set(mode) & set("wax+")) or (flags and flags & _WRITING):
        raise _refused("a delivery may not write files")
    real = os.path.realpath(os.fsdecode(path))
    if _is_below(real, _closed) or not _is_below(real, _roots):
        raise _refused("a delivery may not read this file")


def _is_below(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(root + os.sep) for root in roots)


_JUDGES: dict[str, Callable[[tuple[Any, ...]], None]] = {
    "socket.connect": _judge_connect,
    "socket.__new__": _judge_socket,
    "open": _judge_open,
}
