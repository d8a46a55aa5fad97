"""`soonish secrets ...`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from soonish.cli.output import JsonOption, show
from soonish.cli.running import run

if TYPE_CHECKING:
    from soonish.ops.key_rotation import KeyRotation
    from soonish.runtime import Runtime

app = typer.Typer(help="The secrets of this installation.", no_args_is_help=True)
rotate = typer.Typer(
    help="Change ENCRYPTION_KEY while everything runs: add, promote, reencrypt, drop.",
    no_args_is_help=True,
)
app.add_typer(rotate, name="rotate")
Wait = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for every process to know the key.")
]


@rotate.command()
def add(as_json: JsonOption = False) -> None:
    """1. Generate a new key, used only to decrypt at first."""
    made, by_file = run(lambda runtime: _add(runtime))
    if by_file:
        show(as_json, {"set_by_hand": None}, "Added. Next: soonish secrets rotate promote")
        return
    if not made:
        show(as_json, {"set_by_hand": None}, "There is a second key already. Next: promote")
        return
    told = (
        "Add this key to the end of ENCRYPTION_KEY, after a comma, in the environment of every "
        f"process, and restart each:\n{made}\nThen: soonish secrets rotate promote"
    )
    show(as_json, {"set_by_hand": made}, told)


@rotate.command()
def promote(wait: Wait = 60.0, as_json: JsonOption = False) -> None:
    """2. Encrypt with the new key, once every process knows it."""

    async def work(rotation: KeyRotation) -> None:
        await rotation.promote()

    _step(
        work,
        wait,
        as_json,
        "Promoted. Next: soonish secrets rotate reencrypt",
        "Every process knows the new key. Move it to the front of ENCRYPTION_KEY in the "
        "environment of every process, and restart each. Then: soonish secrets rotate reencrypt",
    )


@rotate.command()
def reencrypt(wait: Wait = 60.0, as_json: JsonOption = False) -> None:
    """3. Re-encrypt everything that uses an older key."""

    async def work(rotation: KeyRotation) -> dict[str, int]:
        return {"values": await rotation.reencrypt()}

    told = "Everything is encrypted with the first key. Next: soonish secrets rotate drop"
    _step(work, wait, as_json, told, told)


@rotate.command()
def drop(wait: Wait = 60.0, as_json: JsonOption = False) -> None:
    """4. Remove the older keys; refused while anything needs one."""

    async def work(rotation: KeyRotation) -> dict[str, int]:
        return {"keys": await rotation.drop()}

    _step(
        work,
        wait,
        as_json,
        "Done: there is one key. Backups from before still need the older one.",
        "Nothing needs the older keys. Remove all but the first from ENCRYPTION_KEY in the "
        "environment of every process. Backups from before still need them.",
    )


def _step(work: Any, wait: float, as_json: bool, by_file: str, by_hand: str) -> None:
    async def begin(runtime: Runtime) -> tuple[dict[str, int], bool]:
        from soonish.ops.key_rotation import KeyRotation

        rotation = KeyRotation(runtime.db, runtime.settings, wait)
        return await work(rotation) or {}, rotation.by_file

    done, is_by_file = run(begin)
    show(as_json, done, by_file if is_by_file else by_hand)


async def _add(runtime: Runtime) -> tuple[str, bool]:
    from soonish.ops.key_rotation import KeyRotation

    rotation = KeyRotation(runtime.db, runtime.settings)
    return await rotation.add(), rotation.by_file
