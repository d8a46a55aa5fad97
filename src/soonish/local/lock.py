"""What one Soonish has for itself on a machine: its home and its ports."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Generator
from pathlib import Path

from soonish.errors import ConfigurationError


@contextlib.contextmanager
def only_one(home: Path) -> Generator[None]:
    """Hold the home for this process; raises ConfigurationError that names the holder."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = (home / "up.lock").open("a+")
    except OSError as error:
        raise ConfigurationError(
            f"{home} cannot be used: {error.strerror}. Set SOONISH_HOME to another folder."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise ConfigurationError(
                f"Soonish already runs in {home} (process {holder})."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def check_port(host: str, port: int, variable: str) -> None:
    """Raise ConfigurationError, with the variable that moves it, if `port` cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            message = f"Port {port} may not be used by this user. Set {variable} to another one."
            raise ConfigurationError(message) from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigurationError(f"{host} is no address of this machine.") from error
            message = f"Port {port} is taken. Set {variable} to another one."
            raise ConfigurationError(message) from None
