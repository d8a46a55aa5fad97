"""`soonish api` and `soonish worker`: the separate processes of an installation."""

from __future__ import annotations

import asyncio
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from soonish.kit.exits import exiting_clearly

if TYPE_CHECKING:
    import uvicorn

    from soonish.config import Settings
    from soonish.runtime import Runtime

CLOSE_SECONDS = 1  # for open requests at shutdown; SSE streams would never end
WORKER_STOP_SECONDS = 10.5


def api() -> None:
    """Serve API and pages at HOST:PORT. Needs a migrated database; starts nothing else."""
    with exiting_clearly():
        _serve()


def worker(
    processes: Annotated[int, typer.Option(min=1, max=256, help="How many processes.")] = 1,
    queue: Annotated[
        list[str] | None,
        typer.Option(help="Serve this task queue only; may be given twice. Default: all of ours."),
    ] = None,
) -> None:
    """Run workflows, deliveries, relay and reconcile. Waits for Temporal; needs the database."""
    with exiting_clearly():
        arguments = _queue_arguments(queue or [])
        if processes > 1:
            asyncio.run(_supervise(processes, arguments))
            return
    from soonish.worker.main import main

    main(arguments)


def _serve() -> None:
    import uvicorn

    from soonish.app import create_app
    from soonish.cli.running import require_database
    from soonish.config import load_settings
    from soonish.local.lock import check_port
    from soonish.local.parent import watch_parent
    from soonish.runtime import tune_garbage_collection

    settings = load_settings()
    require_database(settings)
    check_port(settings.host, settings.port, "PORT")
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        lifespan="on",
        log_config=None,
        access_log=False,  # our own log has the route, never the path
        proxy_headers=False,  # TRUSTED_PROXIES decides
        server_header=False,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
    # uvicorn raises the signal that ended it again, for the previous handlers.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignore)
    watch_parent()
    tune_garbage_collection()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_check_and_serve(uvicorn.Server(config), app.state.soonish))


async def _check_and_serve(server: uvicorn.Server, parts: Runtime) -> None:
    """Check what the lifespan checks too: an error is one line here, there a traceback in the
    log."""
    from soonish.ops.installation import check_fingerprint_key

    await check_fingerprint_key(parts.db)
    await server.serve()


def _ignore(number: int, frame: FrameType | None) -> None:
    """Ignore the signal: uvicorn has shut down by then."""


def _queue_arguments(queues: list[str]) -> list[str]:
    """Return the queue arguments of `python -m soonish.worker`.

    Usage error for an unknown queue.
    """
    from soonish.config import load_settings

    known = _queues(load_settings())
    unknown = [queue for queue in queues if queue not in known]
    if unknown:
        raise typer.BadParameter(
            f"{unknown[0]} is no queue of these settings; there is {' and '.join(known)}.",
            param_hint="--queue",
        )
    return [part for queue in queues for part in ("--queue", queue)]


def _queues(settings: Settings) -> list[str]:
    return list(dict.fromkeys((settings.workflow_queue, settings.activity_queue)))


async def _supervise(processes: int, arguments: list[str]) -> None:
    """Keep the processes running until SIGTERM or SIGINT, then end them together."""
    from soonish.local.parent import watch_parent
    from soonish.local.supervisor import Part, Supervisor

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch_parent()
    parts = Supervisor(("worker",), lambda line: print(line, flush=True))  # noqa: T201
    command = [sys.executable, "-m", "soonish.worker", *arguments]
    for number in range(1, processes + 1):
        parts.start(Part(f"Worker {number}", "worker", command, stop_seconds=WORKER_STOP_SECONDS))
    await stop.wait()
    await parts.stop()
