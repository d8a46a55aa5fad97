"""`soonish delivery ...`: the dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from soonish.cli.output import JsonOption, show, show_rows, warn
from soonish.cli.running import run

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from soonish.delivery.ledger.dead_letters import DeadLetter
    from soonish.runtime import Runtime

app = typer.Typer(help="Deliveries that failed.", no_args_is_help=True)
COLUMNS = ("id", "notification_id", "kind", "address", "channel", "attempts", "outcome", "detail")

OfEvent = Annotated[int | None, typer.Option("--event", help="Of this event only.")]


@app.command()
def failed(event: OfEvent = None, as_json: JsonOption = False) -> None:
    """List failed deliveries, newest first; addresses are masked."""

    async def work(runtime: Runtime) -> list[dict[str, Any]]:
        from soonish.delivery.ledger import dead_letters

        async with runtime.db.read() as session:
            await _require_event(session, event)
            return [_row(one) for one in await dead_letters.failed_deliveries(session, event)]

    show_rows(as_json, run(work), COLUMNS, "No delivery has failed.")


@app.command()
def retry(
    notification_id: Annotated[
        int | None, typer.Argument(help="Of this notification. Default: of all, or --event.")
    ] = None,
    event: OfEvent = None,
    as_json: JsonOption = False,
) -> None:
    """Retry failed deliveries; each recipient still gets the message only once."""
    done = run(lambda runtime: _retry(runtime, notification_id, event))
    for late in done["expired"]:
        warn(f"Notification {late} is too old to be sent again.")
    show(as_json, done, f"{done['retried']} deliveries are tried again.")
    if notification_id is not None and done["expired"]:
        raise typer.Exit(1)


async def _retry(
    runtime: Runtime, notification_id: int | None, event: int | None
) -> dict[str, Any]:
    from soonish.delivery.ledger import dead_letters
    from soonish.domain.notifications import service as notifications
    from soonish.errors import Conflict
    from soonish.infra.db.types import utc_now

    async with runtime.db.read() as session:
        await _require_event(session, event)
        if notification_id is not None:
            found = [await dead_letters.require_notification(session, notification_id)]
        else:
            found = list(await dead_letters.notifications_with_failures(session, event))
    retried, expired = 0, list[int]()
    for one in found:
        try:
            async with runtime.db.write() as session:
                retried += await notifications.retry_failed(session, one, utc_now())
        except Conflict:
            expired.append(one.id)
    return {"retried": retried, "expired": expired}


async def _require_event(session: AsyncSession, event_id: int | None) -> None:
    """Raise NotFound for an id that does not exist: a typo must not look like an empty result."""
    from soonish.domain.events import queries

    if event_id is not None:
        await queries.with_owner(session, event_id)


def _row(letter: DeadLetter) -> dict[str, Any]:
    from soonish.kit.schemas import as_z

    one = letter.delivery
    return {
        "id": one.id,
        "notification_id": one.notification_id,
        "event_id": letter.notification.event_id,
        "kind": letter.notification.kind,
        "address": letter.address,
        "channel": letter.channel,
        "attempts": one.attempts,
        "outcome": one.outcome,
        "detail": one.outcome_detail,
        "finished_at": as_z(one.finished_at) if one.finished_at else None,
    }
