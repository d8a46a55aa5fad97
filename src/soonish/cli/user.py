"""`soonish user ...`"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soonish.cli.output import JsonOption, show
from soonish.cli.running import run

if TYPE_CHECKING:
    from soonish.runtime import Runtime

app = typer.Typer(help="Accounts.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Accounts."""


@app.command()
def create(
    email: Annotated[str, typer.Argument(help="The address; you vouch for it, no mail is sent.")],
    name: Annotated[str | None, typer.Option(help="What to call the person.")] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="An administrator; also of an account that is there.")
    ] = False,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin",
            help="Read a password from standard input; without one: sign in by mailed link.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an account that can sign in at once."""
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None

    async def work(runtime: Runtime) -> dict[str, Any]:
        from soonish.domain.accounts import operators, password_rules, passwords
        from soonish.domain.accounts.schemas import ProfileInput

        called = ProfileInput(name=name).name
        hashed = None
        if password is not None:
            hashed = await passwords.hash_password(
                password_rules.validate_password(password, email, called)
            )
        async with runtime.db.write() as session:
            user, made = await operators.create_account(
                session, email, name=called, password_hash=hashed, admin=admin
            )
        return {
            "id": user.id,
            "email": user.email,
            "name": user.name,
            "is_admin": user.is_admin,
            "created": made,
        }

    made = run(work)
    what = "administrator" if made["is_admin"] else "account"
    show(as_json, made, f"User {made['id']} is an {what}: {made['email']}")
