"""Keeps the parts of one `soonish up` running, and ends them in order.

A part is a direct child in a session of its own, so that Ctrl-C reaches only the supervisor.
Each of our own parts reads a pipe whose other end only the supervisor holds (`local.parent`), and
ends when it closes. Other programs run under `local.run_with_parent` to the same end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from soonish.local.parent import PARENT_FD, READY_FD

PARENT_PID = "SOONISH_PARENT_PID"
RUN_WITH_PARENT = Path(__file__).with_name("run_with_parent.py")

Say = Callable[[str], None]
Probe = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Backoff:
    """The seconds before a part that died is started again: `first`, then doubled up to `last`.

    A part that ran for `healthy_after` seconds starts again with `first`.
    """

    first: float = 0.5
    last: float = 30.0
    healthy_after: float = 60.0


@dataclass(frozen=True)
class Part:
    """What to run: `group` orders the shutdown, `stop_seconds` is what it gets before SIGKILL.

    Without a `probe` the part is ours and says itself when it is ready (`notify_ready`); with one
    it is ready when the probe answers True. `address` is shown when it is. `foreign` programs
    cannot read our pipe and are leashed instead; `ps` shows their `title` once they are ready.
    `nice`, 0 to 19: how far it steps back behind the other parts where the processor is busy.
    `environment` is added to ours, where that does not say otherwise.
    """

    name: str
    group: str
    command: Sequence[str]
    address: str = ""
    stop_seconds: float = 3.0
    probe: Probe | None = None
    foreign: bool = False
    nice: int = 0
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    title: str = ""
    backoff: Backoff = Backoff()


class Child:
    """One part while it is supervised; `ready` is set once it has been ready."""

    def __init__(self, part: Part, lifeline: int, say: Say) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self._lifeline = lifeline
        self._say = say
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        """Ask it to end; kill its whole session after `stop_seconds`."""
        self._stopping.set()
        await self._task

    async def _keep_running(self) -> None:
        backoff = self.part.backoff
        delay = backoff.first
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - started >= backoff.healthy_after:
                delay = backoff.first
            self._say(f"{self.part.name} ended ({_how(code)}); it starts again in {delay:g} s.")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(delay * 2, backoff.last)

    async def _run_once(self) -> int:
        """Run the part until it ends or is to stop; return its exit code, -n for signal n."""
        reader, writer = os.pipe()
        try:
            self.process = await self._spawn(writer)
        except OSError as error:
            os.close(reader)
            self._say(f"{self.part.name} cannot be started: {error.strerror}.")
            return 127
        finally:
            os.close(writer)
        watcher = asyncio.create_task(self._until_ready(reader))
        try:
            return await self._ended_or_stopped(self.process)
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
            os.close(reader)

    async def _ended_or_stopped(self, process: asyncio.subprocess.Process) -> int:
        stopping = asyncio.create_task(self._stopping.wait())
        ended = asyncio.create_task(process.wait())
        await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
            await asyncio.wait({ended}, timeout=self.part.stop_seconds)
        if not ended.done():
            self._say(f"{self.part.name} did not end in time and is killed.")
            with contextlib.suppress(ProcessLookupError):  # it ended at this very moment
                os.killpg(process.pid, signal.SIGKILL)
        stopping.cancel()
        return await ended

    async def _spawn(self, writer: int) -> asyncio.subprocess.Process:
        environment = {**self.part.environment, **os.environ, PARENT_PID: str(os.getpid())}
        command, descriptors = list(self.part.command), ()
        if self.part.foreign:
            title = self.part.title or command[0]
            command = [sys.executable, "-I", "-S", str(RUN_WITH_PARENT), title, *command]
        else:
            environment |= {PARENT_FD: str(self._lifeline), READY_FD: str(writer)}
            descriptors = (self._lifeline, writer)
        return await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            # A foreign program's greetings are not ours to print; its errors are.
            stdout=asyncio.subprocess.DEVNULL if self.part.foreign else None,
            pass_fds=descriptors,
            start_new_session=True,
        )

    async def _until_ready(self, reader: int) -> None:
        if self.part.nice and self.process:
            await _step_back(self.process.pid, self.part.nice)
        if self.part.probe:
            while not await self.part.probe():  # noqa: ASYNC110, another process has no Event
                await asyncio.sleep(0.05)
        elif not await _read_ready(reader):
            return
        if self.part.title and self.process:
            show_only_title(self.process.pid)
        self.ready.set()
        where = f": {self.part.address}" if self.part.address else ""
        self._say(f"{self.part.name} is ready{where}")


class Supervisor:
    """Starts parts and, on `stop`, ends them group by group in the order given here."""

    def __init__(self, order: Sequence[str], say: Say) -> None:
        self._order = order
        self._say = say
        self._children: list[Child] = []
        self._stopped = False
        self._lifeline, self._held_end = os.pipe()

    def start(self, part: Part) -> Child:
        """Start a part and keep it running; must be called on the main thread's event loop."""
        child = Child(part, self._lifeline, self._say)
        self._children.append(child)
        return child

    async def stop(self) -> None:
        """End every part: one group after the other, the parts of a group together."""
        if self._stopped:
            return
        self._stopped = True
        for group in self._order:
            members = [child for child in self._children if child.part.group == group]
            await asyncio.gather(*(child.stop() for child in members))
        os.close(self._held_end)
        os.close(self._lifeline)


async def _step_back(pid: int, nice: int) -> None:
    """Give a child less of a busy processor than we get."""
    lower = min(19, os.getpriority(os.PRIO_PROCESS, 0) + nice)
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, lower)
    for _ in range(20):
        if _weigh_session(pid, nice):
            return
        await asyncio.sleep(0.1)


def _weigh_session(pid: int, nice: int) -> bool:
    """Linux may share the processor out by sessions first ("autogroup" in sched(7)). False where
    it has to be asked again: it takes one such wish in 100 ms from who is not root."""
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
    except OSError as error:
        return error.errno != errno.EAGAIN  # the child has ended, or there is no such thing here
    return True


async def _read_ready(reader: int) -> bool:
    """Wait for the line of `notify_ready`; False if the part ended or closed the pipe instead."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(reader, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(reader)
    return bool(os.read(reader, 16))


def show_only_title(pid: int) -> None:
    """Let `ps` show a child's argv[0] and no arguments (on Linux, as far as we may).

    Overwrites the NUL behind the last argument, which a running program has no use for: without
    it the kernel takes the arguments for a title, as setproctitle(3) leaves them.
    """
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        arg_end = int(fields[49 - 3])  # proc(5) counts from 1 and has two fields before the ")"
        if arg_end:
            with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
                memory.seek(arg_end - 1)
                memory.write(b" ")


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
