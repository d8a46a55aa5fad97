"""`soonish demo`: the whole life of an event, over HTTP, from its users' point of view."""

from __future__ import annotations

from typing import Annotated

import typer

from soonish.cli.output import JsonOption
from soonish.kit.exits import exiting_clearly


def demo(
    url: Annotated[
        str | None,
        typer.Option(help="Where Soonish runs. Default: BASE_URL, or a system of its own."),
    ] = None,
    patterns: Annotated[
        bool,
        typer.Option("--patterns", help="Only a message to all and one person's reminder."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Play an event from start to end with three users, and report what arrived where."""
    with exiting_clearly():
        from soonish.cli.demonstration import run

        run(url, patterns=patterns, as_json=as_json)
