"""`soonish outbox ...`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from soonish.cli.output import JsonOption, show, table
from soonish.cli.running import run

if TYPE_CHECKING:
    from soonish.runtime import Runtime

app = typer.Typer(help="What Temporal must still be told.", no_args_is_help=True)
ERROR_LETTERS = 60  # for people; --json has the full text


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Show pending rows by kind, and those set aside with an error."""
    found = run(_status)
    short = [{**row, "error": (row["error"] or "")[:ERROR_LETTERS]} for row in found["undone"]]
    lines = [table(short, ("kind", "rows", "oldest", "error"))] if short else []
    if found["failed"]:
        lines += ["", "Put aside (`soonish outbox poke --failed` tries them again):"]
        lines.append(table(found["failed"], ("id", "stream", "kind", "done_at", "error")))
    show(as_json, found, "\n".join(lines) or "The outbox is empty.")


@app.command()
def poke(
    failed: Annotated[
        bool, typer.Option("--failed", help="Also try those again that were put aside.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send all pending rows to Temporal now."""

    async def work(runtime: Runtime) -> dict[str, int]:
        from soonish.infra.outbox import operations

        async with runtime.db.write() as session:
            revived = await operations.retry_failed_rows(session) if failed else 0
            streams = await operations.reset_pokes(session)
        if streams and runtime.db.on_commit:
            runtime.db.on_commit(set(streams))
        return {"streams": len(streams), "revived": revived}

    done = run(work)
    again = f", {done['revived']} rows are tried again" if failed else ""
    show(as_json, done, f"{done['streams']} streams poked{again}.")


async def _status(runtime: Runtime) -> dict[str, Any]:
    from soonish.infra.outbox import operations
    from soonish.kit.schemas import as_z

    async with runtime.db.read() as session:
        undone = await operations.undone_by_kind(session)
        failed = await operations.failed_rows(session)
    return {
        "undone": [
            {"kind": u.kind, "rows": u.rows, "oldest": as_z(u.oldest), "error": u.error}
            for u in undone
        ],
        "failed": [
            {
                "id": row.id,
                "stream": row.stream,
                "kind": row.kind,
                "done_at": as_z(row.done_at) if row.done_at else None,
                "error": row.error,
            }
            for row in failed
        ],
    }
