"""`soonish up`: the whole system on this machine, in the foreground, until Ctrl-C."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import typer

from soonish.config import SECRET_NAMES, Settings, load_secrets_file, load_settings
from soonish.errors import ConfigurationError
from soonish.local.caught_mail import mail_folder
from soonish.local.jobs import NOT_YET
from soonish.local.lock import check_port, only_one
from soonish.local.supervisor import Part, Supervisor
from soonish.ops.log_files import LOG_FILE, log_folder

# API first (no new work), then workers (they finish or cut deliveries), then their dependencies.
STOP_ORDER = ("api", "worker", "catcher", "temporal")
STEP_BACK = 10  # niceness of background processes, so that requests get a busy CPU first
PROBE_SECONDS = 2.0
TEMPORAL_REMINDER_SECONDS = 60.0


def up() -> None:
    """Run everything on this machine, in the foreground, until Ctrl-C."""
    try:
        settings = prepare()
        with only_one(settings.soonish_home):
            make_secrets(settings)
            check_ports(settings)
            make_log_folder(settings.soonish_home)
            binary = _temporal_binary(settings)
            asyncio.run(_run(settings, binary))
    except ConfigurationError as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(1) from error


def say(line: str) -> None:
    """Print a line at once; a closed terminal or pipe must not prevent shutdown."""
    with suppress(OSError):
        typer.echo(line)
        sys.stdout.flush()


def prepare() -> Settings:
    """Return the settings of this run, which its parts inherit through the environment.

    Raise ConfigurationError if `up` would show the caught mail to strangers.
    """
    settings = load_settings()
    os.environ["SOONISH_HOME"] = str(settings.soonish_home)
    public = [name for name, host in _hosts(settings).items() if not _is_loopback(host)]
    if public and settings.uses_mail_catcher:
        raise ConfigurationError(
            f"{public[0]} is not loopback, so others could read the mail that is caught here. "
            "Set SMTP_SERVER, or use a loopback address."
        )
    return settings


def _hosts(settings: Settings) -> dict[str, str]:
    return {"HOST": settings.host, "BASE_URL": urlsplit(settings.base_url).hostname or ""}


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_secrets(settings: Settings) -> None:
    """Generate missing secrets, put all secrets into the environment and check them."""
    from soonish.infra.secrets_file import ensure_secrets

    home = settings.soonish_home
    present = frozenset(name for name in SECRET_NAMES if getattr(settings, name.lower()))
    if not settings.production:
        made = ensure_secrets(home, present)
        if made:
            say(f"Made {', '.join(made)} in {home / 'secrets.env'}; keep that file.")
    load_secrets_file(home)
    load_settings().check_secrets()


def check_ports(settings: Settings) -> None:
    """Raise ConfigurationError for the first of our ports that is taken or configured twice."""
    wanted = {"PORT": settings.port}
    if not settings.temporal_url:
        wanted |= {"TEMPORAL_PORT": settings.temporal_port}
        wanted |= {"TEMPORAL_UI_PORT": settings.temporal_ui_port}
    if settings.uses_mail_catcher:
        wanted |= {"MAIL_CATCHER_PORT": settings.mail_catcher_port}
    seen: dict[int, str] = {}
    for variable, port in wanted.items():
        if seen.setdefault(port, variable) != variable:
            raise ConfigurationError(
                f"{variable} and {seen[port]} are both {port}. Set {variable} to another one."
            )
        check_port(settings.host if variable == "PORT" else "127.0.0.1", port, variable)


def make_log_folder(home: Path) -> None:
    """Make the folder of the parts' log files; raises ConfigurationError where it cannot be."""
    folder = log_folder(home)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be made: {error.strerror}.") from error
    say(f"All log lines are kept in {folder}")


def _temporal_binary(settings: Settings) -> Path | None:
    if settings.temporal_url:
        return None
    from soonish.local.temporal_server import ensure_temporal, forget_stale_log

    # `kill` interrupts a build that takes minutes, just as Ctrl-C does.
    signal.signal(signal.SIGTERM, _leave)
    forget_stale_log(settings.soonish_home)
    return ensure_temporal(say)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


async def _run(settings: Settings, binary: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # SIGHUP is ignored already under nohup. SIGINT is ignored in every background job
        # of a script, yet still means stop when somebody sends it.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    parts = Supervisor(STOP_ORDER, say)
    starting = asyncio.create_task(_start(settings, binary, parts))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done() and starting.exception() is None:
        await stopped
    stopped.cancel()
    starting.cancel()
    # Only when nothing starts any more can everything be stopped.
    await asyncio.wait({starting})
    say("Stopping ...")
    await parts.stop()
    with suppress(asyncio.CancelledError):
        await starting
    say("Soonish has stopped.")


async def _start(settings: Settings, binary: Path | None, parts: Supervisor) -> None:
    """Start each part once its dependencies are ready; Temporal is up before the schema is."""
    temporal = asyncio.create_task(_temporal_ready(settings, binary, parts))
    try:
        children = [parts.start(_catcher(settings))] if settings.uses_mail_catcher else []
        await _migrate(settings)
        children.append(parts.start(_api(settings)))
        await temporal
    finally:
        temporal.cancel()
    children += [
        parts.start(_worker(settings, number)) for number in range(1, settings.workers + 1)
    ]
    for child in children:
        await child.ready.wait()
    say(f"Soonish is ready at {settings.base_url}")


async def _temporal_ready(settings: Settings, binary: Path | None, parts: Supervisor) -> None:
    if binary:
        await parts.start(_temporal(settings, binary)).ready.wait()
        return
    while not await _elsewhere("temporal"):
        say(f"Waiting for Temporal at {settings.temporal_address} (TEMPORAL_URL) ...")
        await _wait_for_temporal(settings)
    say(f"Temporal is ready: {settings.temporal_address}")


async def _wait_for_temporal(settings: Settings) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(TEMPORAL_REMINDER_SECONDS):
            while not await _elsewhere("temporal"):  # noqa: ASYNC110, it has no Event for us
                await asyncio.sleep(1)


async def _migrate(settings: Settings) -> None:
    """Migrate while Temporal starts. A migration interrupted by Ctrl-C is rolled back."""
    await _elsewhere("database")
    say(f"Database is ready: {_database_name(settings)}")


async def _elsewhere(job: str) -> bool:
    """Run the job in `soonish.local.jobs`; return False if it may be retried.

    Raise ConfigurationError with its message on failure.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "soonish.local.jobs", job),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # we handle Ctrl-C
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode in (0, NOT_YET):
        return process.returncode == 0
    raise ConfigurationError(said.decode().strip() or f"The start failed at: {job}")


def _database_name(settings: Settings) -> str:
    url = urlsplit(settings.database_url)
    return url.path[1:] if settings.is_sqlite else f"PostgreSQL at {url.hostname}{url.path}"


def _temporal(settings: Settings, binary: Path) -> Part:
    from soonish.local.temporal_server import MEMORY_LIMIT, server_command

    address, command = settings.temporal_address, server_command(binary, settings)
    return Part(
        name="Temporal",
        group="temporal",
        command=command,
        # Its own settings use that word for Temporal's workers; ours must be distinguishable.
        title=" ".join(command[: command.index("--dynamic-config-value")]),
        address=f"{address}, its page http://127.0.0.1:{settings.temporal_ui_port}",
        stop_seconds=2.5,
        probe=lambda: _elsewhere("temporal"),
        foreign=True,
        nice=STEP_BACK,
        environment=MEMORY_LIMIT,
    )


def _catcher(settings: Settings) -> Part:
    folder, port = str(mail_folder(settings.soonish_home)), str(settings.mail_catcher_port)
    return Part(
        name="Mail catcher",
        group="catcher",
        command=[sys.executable, "-m", "soonish.local.mail_catcher", folder, port],
        address=f"127.0.0.1:{port}, read it at {settings.base_url}/dev/mail",
        stop_seconds=1.0,
    )


def _api(settings: Settings) -> Part:
    return Part(
        name="API",
        group="api",
        command=[sys.executable, "-m", "soonish.cli.main", "api"],
        address=f"http://{settings.host}:{settings.port}",
        stop_seconds=4.0,
        probe=lambda: _answers_health(settings),
        environment=_logs_to(settings, "api"),
    )


def _worker(settings: Settings, number: int) -> Part:
    return Part(
        name=f"Worker {number}",
        group="worker",
        command=[sys.executable, "-m", "soonish.worker"],
        stop_seconds=10.5,
        nice=STEP_BACK,
        environment=_logs_to(settings, f"worker-{number}"),
    )


def _logs_to(settings: Settings, name: str) -> dict[str, str]:
    return {LOG_FILE: str(log_folder(settings.soonish_home) / f"{name}.log")}


async def _answers_health(settings: Settings) -> bool:
    """Return True once GET /api/health answers 200, which requires a usable database."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - asked on loopback instead
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(host, settings.port)
            writer.write(b"GET /api/health HTTP/1.0\r\nHost: localhost\r\n\r\n")
            status = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status
