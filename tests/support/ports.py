"""Free ports on loopback."""

from __future__ import annotations

import os
import random
import socket

# Below the kernel's ephemeral range, so that no outgoing connection takes one of them meanwhile;
# each process starts somewhere else, so that parallel tests do not meet.
_LOW, _HIGH = 20_000, 32_000
_random = random.Random(os.urandom(8))


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on."""
    while True:
        port = _random.randrange(_LOW, _HIGH)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def accepts(port: int) -> bool:
    """True if something listens on this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
