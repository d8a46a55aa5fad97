"""`soonish doctor`: check everything Soonish needs, and say how to fix it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soonish.cli import acting
from soonish.cli.output import JsonOption, show
from soonish.kit.exits import MIGRATE, explain

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from soonish.delivery.transports.outcome import SendResult
    from soonish.ops.health import HealthPart
    from soonish.runtime import Runtime

REMEDIES = {
    "temporal": "Start it with `soonish up`, or set TEMPORAL_URL to a server that runs.",
    "worker": "Start one with `soonish worker`, or everything with `soonish up`.",
    "mail": "Check SMTP_SERVER, SMTP_PORT, SMTP_SECURITY and the password; `soonish up` runs a "
    "catcher where SMTP_SERVER is not set.",
    "outbox": "`soonish outbox status` shows what waits, `soonish outbox poke` pushes it.",
}


@dataclass(frozen=True)
class Finding:
    """The result of a check: its name, whether it passed, the details, and the remedy."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def doctor(
    send: Annotated[bool, typer.Option("--send", help="Also send a mail to TEST_EMAIL.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check settings, secrets, database, Temporal, workers and mail; exit 1 if a check fails."""
    findings = asyncio.run(_examine(send))
    lines = [line for one in findings for line in _lines(one)]
    show(as_json, [asdict(one) for one in findings], "\n".join(lines))
    wrong = [one.name for one in findings if not one.ok]
    if wrong:
        typer.echo(f"Not well: {', '.join(wrong)}.", err=True)
        raise typer.Exit(1)


async def send_test_mail(runtime: Runtime) -> SendResult:
    """Send a mail to TEST_EMAIL through service mail. Raise InvalidInput if that is not set."""
    from soonish.delivery.texts.content import Content
    from soonish.delivery.texts.rendering import ACTION_SLOT, Rendering, message_id
    from soonish.delivery.transports.mail.service import Mail
    from soonish.identity.addresses import normalise
    from soonish.infra.db.types import utc_now

    address = normalise(runtime.settings.test_email, "TEST_EMAIL")
    extra = {"channel": runtime.settings.smtp_server, "url": runtime.settings.base_url}
    template = Rendering(Content("test", extra=dict(extra)), "en", runtime.settings).plain_mail
    identity = message_id(0, utc_now())
    mail = Mail(to=address, message_id=identity, template=template, values={ACTION_SLOT: ""})
    return (await runtime.mailer.send_batch([mail]))[0]


def _lines(one: Finding) -> list[str]:
    first = f"{'ok' if one.ok else 'PROBLEM':<8} {one.name:<10} {one.detail}"
    return [first] if one.ok or not one.remedy else [first, f"{'':<19} {one.remedy}"]


async def _examine(send: bool) -> list[Finding]:
    from soonish.cli.running import settings_for_command
    from soonish.errors import SoonishError
    from soonish.runtime import make_runtime

    try:
        settings = settings_for_command()
    except SoonishError as error:
        return [Finding("settings", False, error.detail, "docs/settings.md describes each one.")]
    findings = [
        Finding("settings", True, f"{settings.environment}, {settings.base_url}"),
        _home(settings.soonish_home),
    ]
    try:
        runtime = make_runtime(settings)
    except SoonishError as error:
        return [*findings, Finding("secrets", False, error.detail)]
    findings.append(Finding("secrets", True, "all three are there"))
    try:
        return findings + await _with_runtime(runtime, send)
    finally:
        await runtime.close()


def _home(home: Path) -> Finding:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return Finding("home", True, str(home))
    except OSError as error:
        who = f"user {os.getuid()}"
        remedy = f"Let {who} write there, or set SOONISH_HOME to another folder."
        return Finding("home", False, f"{home}: {error.strerror}", remedy)


async def _with_runtime(runtime: Runtime, send: bool) -> list[Finding]:
    from soonish.ops import health

    database = await _found("database", lambda: _database(runtime), MIGRATE)
    temporal = await _found("temporal", lambda: _temporal(runtime), REMEDIES["temporal"])
    findings = [database, temporal]
    if database.ok:
        findings.append(await _found("keys", lambda: _keys(runtime), "Set the old keys back."))
        judged = (await health.check_health(runtime)).parts
        findings += [_judged(name, judged[name]) for name in REMEDIES if name != "temporal"]
    else:
        findings.append(await _found("mail", lambda: _mail(runtime), REMEDIES["mail"]))
    findings.append(_assets())
    if send:
        remedy = REMEDIES["mail"] if runtime.settings.test_email else "Set TEST_EMAIL."
        findings.append(await _found("test mail", lambda: _send(runtime), remedy))
    return findings


def _judged(name: str, part: HealthPart) -> Finding:
    return Finding(name, part.ok, part.detail, REMEDIES[name])


async def _found(
    name: str, look: Callable[[], Awaitable[tuple[bool, str]]], remedy: str
) -> Finding:
    """Return the result of `look`; an error people can understand is a problem."""
    try:
        ok, detail = await look()
    except Exception as error:
        detail = explain(error)
        if detail is None:
            raise
        ok = False
    return Finding(name, ok, detail.replace(f" {MIGRATE}", ""), remedy)


async def _database(runtime: Runtime) -> tuple[bool, str]:
    from alembic.script import ScriptDirectory

    from soonish.cli.running import require_database
    from soonish.infra.db.migrate import alembic_config

    require_database(runtime.settings)
    async with runtime.db.read() as session:
        present = await session.run_sync(_revision)
    newest = ScriptDirectory.from_config(alembic_config(runtime.settings)).get_current_head()
    kind = "SQLite" if runtime.settings.is_sqlite else "PostgreSQL"
    if present == newest:
        return True, f"{kind}, schema {present}"
    return False, f"{kind}, its schema is {present or 'missing'}, the newest is {newest}"


def _revision(session: Session) -> str | None:
    from alembic.migration import MigrationContext

    return MigrationContext.configure(session.connection()).get_current_revision()


async def _keys(runtime: Runtime) -> tuple[bool, str]:
    """Check the keys against the database: an address must be readable and found again."""
    from sqlalchemy import select

    from soonish.identity.addresses import fingerprint_of
    from soonish.infra.db.models.accounts import User

    query = select(User.email, User.email_fingerprint).where(User.email.is_not(None)).limit(1)
    async with runtime.db.read() as session:
        row = (await session.execute(query)).one_or_none()
    address, stored = row or (None, None)
    if address is None:
        return True, "nothing is stored yet"
    fits = fingerprint_of(address) == stored
    return fits, "fit the database" if fits else "FINGERPRINT_KEY is not the database's"


async def _temporal(runtime: Runtime) -> tuple[bool, str]:
    from soonish.ops import health

    await acting.temporal_client(runtime)
    return (
        True,
        f"Temporal {await health.server_version(runtime)} at {runtime.settings.temporal_address}",
    )


async def _mail(runtime: Runtime) -> tuple[bool, str]:
    if not runtime.settings.smtp_server:
        return False, "SMTP_SERVER is not set"
    result = await runtime.mailer.check()
    return result.ok, "answers" if result.ok else result.detail


def _assets() -> Finding:
    from soonish.errors import ConfigurationError
    from soonish.web.rendering.assets import manifest

    try:
        return Finding("assets", True, f"{len(manifest())} files for the pages")
    except ConfigurationError as error:
        return Finding("assets", False, "not built", error.detail)


async def _send(runtime: Runtime) -> tuple[bool, str]:
    if not runtime.settings.test_email:
        return False, "TEST_EMAIL is not set"
    result = await send_test_mail(runtime)
    where = f"{runtime.settings.smtp_server}:{runtime.settings.smtp_port}"
    return result.ok, f"taken by {where}" if result.ok else f"{result.outcome}: {result.detail}"
