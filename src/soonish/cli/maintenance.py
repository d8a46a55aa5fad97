"""`soonish maintenance ...`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from soonish.cli.output import JsonOption, show_rows
from soonish.cli.running import run

if TYPE_CHECKING:
    from soonish.runtime import Runtime

app = typer.Typer(help="What is kept, and for how long.", no_args_is_help=True)
COLUMNS = ("rule", "days", "rows")


@app.callback()
def callback() -> None:
    """Retention and cleanup."""


@app.command("run")
def run_now(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove what is older than RETENTION_*_DAYS say, as the schedule does every 6 hours."""
    show_rows(as_json, run(_due if dry_run else _remove), COLUMNS, "There are no rules.")


async def _due(runtime: Runtime) -> list[dict[str, Any]]:
    from soonish.domain.retention import service as retention
    from soonish.infra.db.types import utc_now

    found = await retention.count_due(runtime.db, runtime.settings, utc_now())
    return [{"rule": one.rule, "days": one.days, "rows": one.rows} for one in found]


async def _remove(runtime: Runtime) -> list[dict[str, Any]]:
    from soonish.domain.retention import service as retention
    from soonish.domain.retention.rules import RULES
    from soonish.infra.db.types import utc_now

    done: list[dict[str, Any]] = []
    for rule in RULES:
        rows, more = 0, True
        while more:
            removed, more = await retention.remove(runtime.db, runtime.settings, rule, utc_now())
            rows += removed
        days = getattr(runtime.settings, rule.setting) if rule.setting else None
        done.append({"rule": rule.name, "days": days, "rows": rows})
    return done
