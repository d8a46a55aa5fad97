"""`soonish reminder ...`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from soonish.cli import acting
from soonish.cli.output import JsonOption, show, show_rows
from soonish.cli.running import run

if TYPE_CHECKING:
    from soonish.domain.reminders.check import ReminderCheck
    from soonish.runtime import Runtime

app = typer.Typer(help="Reminders and their schedules in Temporal.", no_args_is_help=True)
COLUMNS = ("schedule_id", "due_at", "anchor_at", "state")


@app.command("list")
def list_reminders(
    event_id: Annotated[int | None, typer.Argument(help="Of this event only.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List reminders with their state."""

    async def work(runtime: Runtime) -> list[dict[str, Any]]:
        from soonish.domain.reminders import check as reminders

        async with runtime.db.read() as session:
            rows = await reminders.list_reminders(session, event_id)
        return [_row(reminders.ReminderCheck(row, reminders.state_of(row))) for row in rows]

    show_rows(as_json, run(work), COLUMNS, "There are no reminders.")


@app.command()
def check(as_json: JsonOption = False) -> None:
    """Compare every reminder with Temporal's schedules; exit 1 if any differs."""

    async def work(runtime: Runtime) -> list[dict[str, Any]]:
        from soonish.domain.reminders import check as reminders
        from soonish.infra.db.types import utc_now

        client = await acting.temporal_client(runtime)
        return [_row(one) for one in await reminders.compare_all(runtime.db, client, utc_now())]

    rows = run(work)
    show_rows(as_json, rows, (*COLUMNS, "problem"), "There are no reminders.")
    wrong = sum(bool(row["problem"]) for row in rows)
    if wrong:
        typer.echo(f"{wrong} of {len(rows)} reminders are not well.", err=True)
        raise typer.Exit(1)


@app.command()
def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete Temporal schedules that no reminder needs."""

    async def work(runtime: Runtime) -> list[str]:
        from soonish.domain.reminders import check as reminders

        client = await acting.temporal_client(runtime)
        strays = await reminders.stray_schedules(runtime.db, client)
        if not dry_run:
            await reminders.clean(client, strays)
        return strays

    strays = run(work)
    word = "would be deleted" if dry_run else "deleted"
    lines = [*strays, f"{len(strays)} schedules {word}."]
    show(as_json, {"deleted": strays, "dry_run": dry_run}, "\n".join(lines))


def _row(checked: ReminderCheck) -> dict[str, Any]:
    from soonish.kit.schemas import as_z

    one = checked.reminder
    return {
        "event_id": one.event_id,
        "subscription_id": one.subscription_id,
        "schedule_id": one.schedule_id,
        "due_at": as_z(one.due_at),
        "anchor": one.anchor,
        "anchor_at": as_z(one.anchor_at),
        "every_seconds": one.every_seconds,
        "state": checked.state,
        "problem": checked.problem,
    }
