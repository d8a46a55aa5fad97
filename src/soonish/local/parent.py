"""What a part of `soonish up` calls: to say that it is ready, and to end with its supervisor.

Standard library only: every worker imports this.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

ORPHAN_SECONDS = 18.0  # what a part gets to end by itself after the supervisor is gone
PARENT_FD = "SOONISH_PARENT_FD"
READY_FD = "SOONISH_READY_FD"


def notify_ready() -> None:
    """Tell the supervisor that this process does its work now; nothing happens without one."""
    descriptor = os.environ.pop(READY_FD, "")
    if descriptor:
        with contextlib.suppress(BrokenPipeError):
            os.write(int(descriptor), b"ready\n")
        os.close(int(descriptor))


def watch_parent(on_orphaned: Callable[[], None] | None = None) -> None:
    """End this process when the supervisor is gone; nothing happens without one.

    Calls `on_orphaned` from a thread (default: SIGTERM to oneself), and leaves the hard way if the
    process is still there ORPHAN_SECONDS later.
    """
    descriptor = os.environ.pop(PARENT_FD, "")
    if descriptor:
        stop = on_orphaned or (lambda: os.kill(os.getpid(), signal.SIGTERM))
        threading.Thread(
            target=_wait_for_end, args=(int(descriptor), stop), name="watch-parent", daemon=True
        ).start()


def _wait_for_end(descriptor: int, stop: Callable[[], None]) -> None:
    while os.read(descriptor, 1):
        pass
    stop()
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)
