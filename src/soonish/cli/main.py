"""The `soonish` command. Each command imports its own heavy dependencies."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from soonish import __version__
from soonish.cli import (
    db,
    delivery,
    demo,
    doctor,
    event,
    integration,
    maintenance,
    outbox,
    reminder,
    secrets,
    serving,
    subscriber,
    temporal,
    user,
)

app = typer.Typer(
    name="soonish",
    help="Notification-first events: reach people on the channels they already use.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"soonish {__version__}")
        raise typer.Exit


@app.callback()
def callback(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Say which.")
    ] = False,
) -> None:
    """Notification-first events: reach people on the channels they already use."""


@app.command()
def up() -> None:
    """Run everything on this machine, in the foreground, until Ctrl-C."""
    from soonish.cli.up import up as run

    run()


app.command()(serving.api)
app.command()(serving.worker)
app.command()(doctor.doctor)
app.command()(demo.demo)
app.add_typer(db.app, name="db")
app.add_typer(temporal.app, name="temporal")
app.add_typer(user.app, name="user")
app.add_typer(event.app, name="event")
app.add_typer(subscriber.app, name="subscriber")
app.add_typer(integration.app, name="integration")
app.add_typer(reminder.app, name="reminder")
app.add_typer(outbox.app, name="outbox")
app.add_typer(maintenance.app, name="maintenance")
app.add_typer(secrets.app, name="secrets")
app.add_typer(delivery.app, name="delivery")


def main() -> None:
    """Run the command line."""
    app()


def script(*commands: str) -> None:
    """Run these commands in order until one fails; the last one gets the script's arguments.

    Commands are words with spaces between, such as "event create". For `scripts/`.
    """
    for number, command in enumerate(commands, start=1):
        arguments = sys.argv[1:] if number == len(commands) else []
        try:
            app([*command.split(), *arguments])
        except SystemExit as ended:
            if ended.code:
                raise


if __name__ == "__main__":
    main()
