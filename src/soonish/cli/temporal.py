"""`soonish temporal ...`"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from soonish.errors import ConfigurationError

app = typer.Typer(help="The Temporal server that `soonish up` runs.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """The Temporal server that `soonish up` runs."""


@app.command()
def install(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find the Temporal CLI, or download or build it (once; kept in the user's cache)."""
    from soonish.local.temporal_server import ensure_temporal

    try:
        binary = ensure_temporal(lambda line: typer.echo(line, err=as_json))
    except ConfigurationError as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps({"path": str(binary)}) if as_json else f"Temporal CLI: {binary}")
