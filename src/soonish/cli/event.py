"""`soonish event ...`: in the name of the event's owner."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soonish.cli import acting
from soonish.cli.acting import INSTANT_HELP
from soonish.cli.output import JsonOption, fields, show, show_rows
from soonish.cli.running import run

if TYPE_CHECKING:
    from soonish.runtime import Runtime

app = typer.Typer(help="Events, and what their subscribers are told.", no_args_is_help=True)
COLUMNS = ("id", "name", "start_date", "status", "subscriber_count", "public_url")

EventId = Annotated[int, typer.Argument(help="The event's id.")]
Start = Annotated[str | None, typer.Option(help=INSTANT_HELP)]
End = Annotated[str | None, typer.Option(help="As --start.")]
TextOption = Annotated[str | None, typer.Option()]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="May be given several times.")]
Public = Annotated[bool | None, typer.Option("--public/--private")]


@app.command()
def create(
    name: Annotated[str, typer.Argument()] = "Test event",
    start: Start = "+2d",
    end: End = None,
    owner: Annotated[
        str | None,
        typer.Option(help="Address of an account. Default: TEST_EMAIL, made if it is missing."),
    ] = None,
    description: TextOption = None,
    location: TextOption = None,
    contact: TextOption = None,
    category: TextOption = None,
    tag: Tags = None,
    timezone: TextOption = None,
    public: Public = None,
    as_json: JsonOption = False,
) -> None:
    """Create an event; its workflow starts and its owner is notified."""
    wanted = _given(
        name=name,
        start_date=start,
        end_date=end,
        description=description,
        location=location,
        contact=contact,
        category=category,
        tags=tag,
        timezone=timezone,
        is_public=public,
    )
    show_event(as_json, run(lambda runtime: _create(runtime, owner, wanted)))


@app.command("list")
def list_events(
    past: Annotated[bool, typer.Option("--past", help="Past and cancelled ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    as_json: JsonOption = False,
) -> None:
    """List events, private ones too, soonest first."""

    async def work(runtime: Runtime) -> list[dict[str, Any]]:
        from soonish.domain.events import queries as operators
        from soonish.infra.db.types import utc_now

        async with runtime.db.read() as session:
            found = await operators.list_all(session, utc_now(), past=past, limit=limit)
        return [acting.event_dict(one, runtime.settings) for one in found]

    show_rows(as_json, run(work), COLUMNS, "There are no events.")


@app.command("show")
def show_one(event_id: EventId, as_json: JsonOption = False) -> None:
    """Show an event with its notifications and their progress."""
    event, sent = run(lambda runtime: _look(runtime, event_id))
    if as_json:
        show(True, {**event, "notifications": sent}, "")
        return
    show(False, event, fields(event))
    typer.echo("")
    show_rows(False, sent, ("id", "kind", "created_at", "sent", "open", "failed"), "Nothing sent.")


@app.command()
def update(
    event_id: EventId,
    new_name: Annotated[str | None, typer.Argument(help="Its new name.")] = None,
    start: Start = None,
    end: End = None,
    description: TextOption = None,
    location: TextOption = None,
    contact: TextOption = None,
    category: TextOption = None,
    tag: Tags = None,
    timezone: TextOption = None,
    public: Public = None,
    as_json: JsonOption = False,
) -> None:
    """Update an event; subscribers are notified of old and new values."""
    wanted = _given(
        name=new_name,
        start_date=start,
        end_date=end,
        description=description,
        location=location,
        contact=contact,
        category=category,
        tags=tag,
        timezone=timezone,
        is_public=public,
    )
    if not wanted:
        raise typer.BadParameter("Say what is to change.", param_hint="NEW_NAME")
    show_event(as_json, run(lambda runtime: _update(runtime, event_id, wanted)))


@app.command()
def cancel(event_id: EventId, as_json: JsonOption = False) -> None:
    """Cancel an event and notify everybody."""

    async def work(runtime: Runtime) -> dict[str, Any]:
        from soonish.domain.events import queries, service
        from soonish.domain.events import queries as operators
        from soonish.infra.db.types import utc_now

        async with runtime.db.write() as session:
            _, owner = await operators.with_owner(session, event_id)
            event = await service.cancel(session, event_id, owner, utc_now())
            found = await queries.details_of(session, event)
        return acting.event_dict(found, runtime.settings)

    show_event(as_json, run(work))


@app.command()
def notify(
    event_id: EventId,
    title: Annotated[str, typer.Argument()],
    body: Annotated[str, typer.Argument(help="Markdown.")],
    subscription: Annotated[
        list[int] | None, typer.Option(help="To this subscription only; several times: to these.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: the same one again sends nothing.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send a message to an event's subscribers."""

    async def work(runtime: Runtime) -> dict[str, int]:
        from soonish.domain.events import queries as operators
        from soonish.domain.notifications import service
        from soonish.domain.notifications.schemas import ManualMessage
        from soonish.infra.db.types import utc_now

        wanted = ManualMessage(title=title, body=body, subscription_ids=subscription or None)
        grace = timedelta(days=runtime.settings.event_grace_days)
        async with runtime.db.write() as session:
            _, owner = await operators.with_owner(session, event_id)
            made = await service.request_manual(
                session, event_id, owner, wanted, key, utc_now(), grace=grace
            )
        return made.model_dump()

    made = run(work)
    told = f"Notification {made['notification_id']} goes to {made['audience']} subscriptions."
    show(as_json, made, told)


@app.command()
def subscribers(event_id: EventId, as_json: JsonOption = False) -> None:
    """List an event's subscribers with their addresses; the same as `subscriber list`."""
    acting.show_subscribers(as_json, event_id)


def show_event(as_json: bool, event: dict[str, Any]) -> None:
    show(as_json, event, fields({name: event[name] for name in (*COLUMNS, "temporal_workflow_id")}))


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


async def _create(runtime: Runtime, owner: str | None, wanted: dict[str, Any]) -> dict[str, Any]:
    from soonish.domain.events import queries, service
    from soonish.domain.events.schemas import EventCreate
    from soonish.infra.db.types import utc_now

    now = utc_now()
    data = EventCreate.model_validate(acting.with_instants(wanted, now))
    async with runtime.db.write() as session:
        user = await acting.owner(session, runtime.settings, owner)
        offsets = runtime.settings.default_reminders
        event = await service.create(session, user, data, now, default_reminders=offsets)
        found = await queries.details_of(session, event)
    return acting.event_dict(found, runtime.settings)


async def _update(runtime: Runtime, event_id: int, wanted: dict[str, Any]) -> dict[str, Any]:
    from soonish.domain.events import queries, service
    from soonish.domain.events import queries as operators
    from soonish.domain.events.schemas import EventPatch
    from soonish.infra.db.types import utc_now

    now = utc_now()
    patch = EventPatch.model_validate(acting.with_instants(wanted, now))
    async with runtime.db.write() as session:
        _, owner = await operators.with_owner(session, event_id)
        offsets = runtime.settings.default_reminders
        event = await service.update(
            session, event_id, owner, patch, now, default_reminders=offsets
        )
        found = await queries.details_of(session, event)
    return acting.event_dict(found, runtime.settings)


async def _look(runtime: Runtime, event_id: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from soonish.domain.events import queries
    from soonish.domain.events import queries as operators
    from soonish.domain.notifications import queries as notifications

    async with runtime.db.read() as session:
        event, owner = await operators.with_owner(session, event_id)
        found = await queries.details_of(session, event)
        sent = await notifications.list_of_event(session, event_id, owner, limit=200)
    shown = [acting.notification_dict(one) for one in sent.items]
    return acting.event_dict(found, runtime.settings), shown
