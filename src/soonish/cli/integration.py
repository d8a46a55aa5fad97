"""`soonish integration ...`"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soonish.cli.output import JsonOption, show, show_rows
from soonish.cli.running import run

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from soonish.delivery.transports.outcome import SendResult
    from soonish.infra.db.models.accounts import User
    from soonish.runtime import Runtime

app = typer.Typer(help="People's channels.", no_args_is_help=True)
COLUMNS = ("id", "user_id", "name", "kind", "target", "tag", "is_active", "circuit")
NTFY = "ntfy"  # the only kind without an account: a topic exists once it is used

IntegrationId = Annotated[int, typer.Argument(help="The integration's id.")]


@app.command()
def add(
    user: Annotated[str, typer.Argument(help="The account's id or address.")],
    kind: Annotated[
        str,
        typer.Argument(
            metavar="[TYPE|URL]",
            help="An Apprise URL such as gotify://host/token; `ntfy` makes a new topic on ntfy.sh.",
        ),
    ] = NTFY,
    tags: Annotated[str, typer.Argument(help="Comma-separated; a row for each.")] = "default",
    name: Annotated[str | None, typer.Option(help="Default: the kind.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Send a test message, which decides if it is active.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a channel to an account."""
    url = _url(kind)
    wanted = [tag.strip() for tag in tags.split(",") if tag.strip()]
    rows = run(lambda runtime: _add(runtime, user, url, wanted, name, verify))
    show_rows(as_json, rows, COLUMNS, "No tag was given.")
    if kind == NTFY and not as_json:
        typer.echo(f"Subscribe to it in the ntfy app: {url.removeprefix('ntfys://')}")


@app.command("list")
def list_integrations(
    user: Annotated[str | None, typer.Argument(help="Of this account (id or address).")] = None,
    as_json: JsonOption = False,
) -> None:
    """List channels; their targets are masked."""

    async def work(runtime: Runtime) -> list[dict[str, Any]]:
        from soonish.domain.integrations import queries

        async with runtime.db.read() as session:
            user_id = (await _account(session, user)).id if user else None
            return [_row(one) for one, _ in await queries.list_with_owners(session, user_id)]

    show_rows(as_json, run(work), COLUMNS, "There are no integrations.")


@app.command("test")
def send_test(
    integration_id: Annotated[
        int | None, typer.Argument(help="Default: every active one, and mail to TEST_EMAIL.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send a test message; exit 1 if one is not accepted."""
    rows = run(lambda runtime: _test(runtime, integration_id))
    show_rows(as_json, rows, ("channel", "ok", "outcome", "detail"), "There is nothing to test.")
    if not all(row["ok"] for row in rows):
        typer.echo("Not every test message was taken.", err=True)
        raise typer.Exit(1)


@app.command()
def remove(integration_id: IntegrationId, as_json: JsonOption = False) -> None:
    """Delete a channel; its URL is erased for good."""

    async def work(runtime: Runtime) -> None:
        from soonish.domain.integrations import queries, service
        from soonish.infra.db.types import utc_now

        async with runtime.db.write() as session:
            _, owner = await queries.with_owner(session, integration_id)
            await service.delete(session, owner, integration_id, utc_now())

    run(work)
    show(as_json, {"id": integration_id}, f"Integration {integration_id} is removed.")


def _url(kind: str) -> str:
    if "://" in kind:
        return kind
    if kind == NTFY:
        return f"ntfys://ntfy.sh/soonish-{secrets.token_hex(8)}"
    raise typer.BadParameter(
        f"For {kind} give its whole Apprise URL, such as gotify://host/token. "
        "Mail to the account's own address needs no integration.",
        param_hint="[TYPE|URL]",
    )


async def _account(session: AsyncSession, user: str) -> User:
    from soonish.domain.accounts import operators

    if user.isdecimal():
        return await operators.require_user(session, int(user))
    return await operators.require_account(session, user)


async def _add(
    runtime: Runtime, user: str, url: str, tags: list[str], name: str | None, verify: bool
) -> list[dict[str, Any]]:
    from soonish.delivery.transports.apprise.urls import check_url
    from soonish.domain.integrations import queries, service
    from soonish.domain.integrations.schemas import IntegrationCreate

    channel = check_url(url, runtime.settings)
    wanted = [
        IntegrationCreate(name=name or channel.kind, apprise_url=url, tag=tag, verify=verify)
        for tag in tags
    ]
    async with runtime.db.write() as session:
        owner = await _account(session, user)
        made = [await service.create(session, owner, one, channel) for one in wanted]
    if verify and made:
        result = await _send(runtime, made[0].id, owner)
        for one in made:
            await _record(runtime, one.id, owner, result, decides=True)
    async with runtime.db.read() as session:
        found = [await queries.require_own(session, owner, one.id) for one in made]
    return [_row(one) for one in found]


async def _test(runtime: Runtime, integration_id: int | None) -> list[dict[str, Any]]:
    from soonish.cli.doctor import send_test_mail
    from soonish.domain.integrations import queries

    async with runtime.db.read() as session:
        if integration_id is not None:
            found = [await queries.with_owner(session, integration_id)]
        else:
            found = list(await queries.list_with_owners(session, active_only=True))
    rows: list[dict[str, Any]] = []
    for channel, owner in found:
        result = await _send(runtime, channel.id, owner)
        await _record(runtime, channel.id, owner, result)
        rows.append(_tested(f"{channel.id} {channel.name} ({channel.kind})", result))
    if integration_id is None and runtime.settings.test_email:
        rows.append(_tested("mail to TEST_EMAIL", await send_test_mail(runtime)))
    return rows


async def _send(runtime: Runtime, integration_id: int, owner: User) -> SendResult:
    from soonish.domain.integrations import queries
    from soonish.domain.integrations.testing import Tester

    async with runtime.db.read() as session:
        channel = await queries.require_own(session, owner, integration_id)
    return await Tester(runtime.settings, runtime.sender).send(channel, owner.locale)


async def _record(
    runtime: Runtime, integration_id: int, owner: User, result: SendResult, *, decides: bool = False
) -> None:
    from soonish.domain.integrations import service
    from soonish.infra.db.types import utc_now

    async with runtime.db.write() as session:
        await service.record_test(
            session, owner, integration_id, result, utc_now(), decides=decides
        )


def _tested(channel: str, result: SendResult) -> dict[str, Any]:
    return {
        "channel": channel,
        "ok": result.ok,
        "outcome": result.outcome.value,
        "detail": result.detail,
    }


def _row(channel: Any) -> dict[str, Any]:
    from soonish.domain.integrations.schemas import IntegrationOut
    from soonish.infra.db.types import utc_now

    shown = IntegrationOut.of(channel, utc_now()).model_dump(mode="json")
    return {"user_id": channel.user_id, **shown}
