"""`soonish db ...`"""

from __future__ import annotations

import io
from typing import Annotated

import typer

from soonish.cli.output import JsonOption, show, show_rows
from soonish.cli.running import make_missing_secrets, require_database, run, settings_for_command
from soonish.kit.exits import exiting_clearly

app = typer.Typer(help="The database: its schema and its development data.", no_args_is_help=True)


@app.command()
def upgrade(as_json: JsonOption = False) -> None:
    """Create the database, or migrate it to the newest schema, keeping its data.

    In development this also generates missing secrets in the home.
    """
    from soonish.infra.db.migrate import alembic_config
    from soonish.infra.db.migrate import upgrade as migrate

    with exiting_clearly():
        settings = settings_for_command()
        make_missing_secrets(settings)
        migrate(settings)
        revision = _head(alembic_config(settings))
    show(as_json, {"revision": revision}, f"The database has the newest schema ({revision}).")


@app.command()
def check(as_json: JsonOption = False) -> None:
    """Check that the database has the newest schema, and that models and migrations agree."""
    from alembic import command
    from alembic.util import CommandError

    from soonish.infra.db.migrate import alembic_config

    with exiting_clearly():
        settings = settings_for_command()
        require_database(settings)
        config = alembic_config(settings)
        config.stdout = io.StringIO()
        try:
            command.check(config)
        except CommandError as error:
            _fail(str(error))
        revision = _head(config)
    show(as_json, {"ok": True, "revision": revision}, f"The schema is the newest ({revision}).")


@app.command()
def seed(as_json: JsonOption = False) -> None:
    """Add example users, a channel, events and subscriptions; repeating it adds nothing."""
    from soonish.cli import seeding

    rows = run(seeding.seed)
    show_rows(as_json, rows, ("what", "id", "name", "made"), "")


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Yes, delete everything in it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Drop and recreate every table. Development only; stop Soonish first."""
    from soonish.cli import seeding
    from soonish.infra.db.migrate import upgrade as migrate

    if not yes:
        raise typer.BadParameter("Everything in the database will be gone.", param_hint="--yes")
    run(seeding.drop_everything)
    with exiting_clearly():
        migrate(settings_for_command())
    show(as_json, {"reset": True}, "The database is empty and has the newest schema.")


def _head(config: object) -> str | None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    assert isinstance(config, Config)  # noqa: S101 - for pyright # nosec B101
    return ScriptDirectory.from_config(config).get_current_head()


def _fail(reason: str) -> None:
    from soonish.errors import ConfigurationError

    raise ConfigurationError(f"{reason.rstrip('.')}. `soonish db upgrade` brings it up to date.")
