"""Run a program so that it ends when its parent does: `run_with_parent.py TITLE COMMAND ...`.

The title is the program's argv[0], which is what `show_only_title` leaves to see.

It becomes that program (exec), so the program is the supervisor's own child. A file without
imports from Soonish, started with `python -I -S`, because every start waits for it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    parent = int(os.environ.get("SOONISH_PARENT_PID") or os.getppid())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    else:
        _leave_watcher(parent, os.getpid())
    if os.getppid() != parent:
        sys.exit("The supervisor ended first.")
    title, program, *arguments = sys.argv[1:]
    os.execvp(program, [title, *arguments])  # noqa: S606 - a part of ours, no shell # nosec B606


def _leave_watcher(parent: int, target: int) -> None:
    """Where the kernel cannot do it, a small process looks once a second."""
    if os.fork():
        return
    while os.getppid() == target:
        if not _alive(parent):
            os.kill(target, signal.SIGTERM)
            break
        time.sleep(1)
    os._exit(0)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main()
