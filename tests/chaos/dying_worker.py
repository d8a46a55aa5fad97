"""A worker process that dies of SIGKILL right before or right after an activity, when asked to.

`python -m tests.chaos.dying_worker FOLDER`: a file `before-NAME` or `after-NAME` in the folder is
taken away by the next activity of that name, which then kills its own process.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from soonish.worker import main
from soonish.worker.interceptors import LogInterceptor

FOLDER = Path(sys.argv[-1])


class _Dying(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        name = activity.info().activity_type
        _die_if_asked(f"before-{name}")
        result = await super().execute_activity(input)
        _die_if_asked(f"after-{name}")
        return result


class DyingInterceptor(LogInterceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Dying(super().intercept_activity(next))


def _die_if_asked(order: str) -> None:
    try:
        (FOLDER / order).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main.LogInterceptor = DyingInterceptor
    main.main([])
