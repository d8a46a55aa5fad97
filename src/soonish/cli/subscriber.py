"""`soonish subscriber ...`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from soonish.cli import acting
from soonish.cli.output import JsonOption, show
from soonish.cli.running import run

if TYPE_CHECKING:
    from soonish.runtime import Runtime

app = typer.Typer(help="Who is told about an event.", no_args_is_help=True)

EventId = Annotated[int, typer.Argument(help="The event's id.")]
_WORDS = {  # by status, and whether it is new
    ("active", True): "is subscribed to event",
    ("active", False): "was subscribed already to event",
    ("pending_confirmation", True): "is asked by mail to confirm the subscription to event",
}
Email = Annotated[str | None, typer.Argument(help="Default: TEST_EMAIL.")]


@app.command()
def add(
    event_id: EventId,
    email: Email = None,
    tags: Annotated[
        str | None,
        typer.Argument(help="Tags of that account's channels, comma-separated. Default: by mail."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="For an address without an account.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Subscribe an address by mail, or an account by the tags of its channels."""
    chosen = [tag.strip() for tag in (tags or "").split(",") if tag.strip()]
    made = run(lambda runtime: _add(runtime, event_id, email, name, chosen))
    for warning in made["warnings"]:
        typer.echo(warning, err=True)
    show(as_json, made, f"{made['email']} {_WORDS[made['status'], made['new']]} {event_id}.")


@app.command()
def remove(event_id: EventId, email: Email = None, as_json: JsonOption = False) -> None:
    """End a subscription; the subscriber is notified."""
    gone = run(lambda runtime: _remove(runtime, event_id, email))
    show(as_json, gone, f"{gone['email']} is no longer subscribed to event {event_id}.")


@app.command("list")
def list_subscribers(event_id: EventId, as_json: JsonOption = False) -> None:
    """List an event's subscribers with their addresses."""
    acting.show_subscribers(as_json, event_id)


async def _add(
    runtime: Runtime, event_id: int, email: str | None, name: str | None, tags: list[str]
) -> dict[str, Any]:
    from soonish.domain.accounts import operators
    from soonish.domain.events import queries
    from soonish.domain.subscriptions import listing
    from soonish.domain.subscriptions import service as subscriptions
    from soonish.domain.subscriptions.anonymous import AnonymousRequest, subscribe_address
    from soonish.domain.subscriptions.schemas import Selection, SubscribeInput
    from soonish.infra.db.types import utc_now

    address = acting.address_or_test_email(runtime.settings, email)
    called = SubscribeInput(email=address, name=name).name
    warnings: list[str] = []
    async with runtime.db.write() as session:
        await queries.with_owner(session, event_id)
        before = await listing.find_current_id(session, event_id, address)
        if tags:
            user = await operators.require_account(session, address)
            wanted = Selection(tags=tags)
            own = await subscriptions.subscribe_user(session, event_id, user, wanted, utc_now())
            warnings = own.warnings
        else:
            request = AnonymousRequest(event_id, address, called)
            opt_in = runtime.settings.double_opt_in
            await subscribe_address(session, request, utc_now(), double_opt_in=opt_in)
        after = await listing.find_current_id(session, event_id, address)
    return {
        "subscription_id": after,
        "email": address,
        "status": "active" if after else "pending_confirmation",
        "new": before is None,
        "warnings": warnings,
    }


async def _remove(runtime: Runtime, event_id: int, email: str | None) -> dict[str, Any]:
    from soonish.domain.events import queries
    from soonish.domain.subscriptions import listing
    from soonish.domain.subscriptions import service as subscriptions
    from soonish.errors import NotFound
    from soonish.infra.db.types import utc_now

    address = acting.address_or_test_email(runtime.settings, email)
    async with runtime.db.write() as session:
        _, organizer = await queries.with_owner(session, event_id)
        found = await listing.find_current_id(session, event_id, address)
        if found is None:
            raise NotFound(f"{address} is not subscribed to event {event_id}.")
        await subscriptions.remove(session, event_id, organizer, found, utc_now())
    return {"subscription_id": found, "email": address}
