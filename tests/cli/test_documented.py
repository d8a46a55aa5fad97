"""`.env.example`, docs/settings.md and docs/cli.md name everything there is, with its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic_core import PydanticUndefined

from soonish.cli.main import app
from soonish.config import Settings

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text()
TABLE = (ROOT / "docs" / "settings.md").read_text()
COMMANDS = (ROOT / "docs" / "cli.md").read_text()
# Their defaults depend on the machine or on other settings; the texts say how.
COMPUTED = {"DATABASE_URL", "BASE_URL", "SOONISH_HOME", "WORKERS"}


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _defaults() -> dict[str, str]:
    fields = Settings.model_fields
    known = {name.upper(): field.default for name, field in fields.items()}
    return {
        name: _as_text(default)
        for name, default in known.items()
        if default is not PydanticUndefined and name not in COMPUTED
    }


def _in_example() -> dict[str, str]:
    return dict(re.findall(r"^#([A-Z_0-9]+)=(.*)$", EXAMPLE, re.MULTILINE))


def _in_table() -> dict[str, tuple[str, str]]:
    rows = re.findall(r"^\| `([A-Z_0-9]+)` \| (?:`([^`]*)`)? ?\| (.+) \|$", TABLE, re.MULTILINE)
    return {name: (default, words) for name, default, words in rows}


def test_the_example_has_every_setting_with_its_default() -> None:
    assert _in_example().keys() == {name.upper() for name in Settings.model_fields}
    assert {name: _in_example()[name] for name in _defaults()} == _defaults()
    assert len(re.findall(r"^#[A-Z_0-9]+=", EXAMPLE, re.MULTILINE)) == len(_in_example())


def test_the_table_has_every_setting_with_its_default_and_a_description() -> None:
    assert {name: default for name, (default, _) in _in_table().items()} == _in_example()
    assert all(len(words) > 8 for _, words in _in_table().values())


def test_the_example_without_its_hashes_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = Settings(_env_file=None)  # pyright: ignore[reportCallIssue]
    (tmp_path / ".env").write_text(re.sub(r"^#([A-Z])", r"\1", EXAMPLE, flags=re.MULTILINE))
    copied = Settings()  # pyright: ignore[reportCallIssue]
    different = {n for n in Settings.model_fields if getattr(plain, n) != getattr(copied, n)}
    # The one path in it is relative, which SQLite takes as it is.
    assert different == {"database_url"}


def _commands() -> set[str]:
    root = typer.main.get_command(app)
    found: set[str] = set()
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found |= {f"{name} {one}" for one in inner} if inner else {name}
    return found


def test_every_command_is_described() -> None:
    lines = re.findall(r"^\| `soonish ([^`]+)` \|", COMMANDS, re.MULTILINE)
    described = {" ".join(re.findall(r"^[a-z]+(?: [a-z]+)?", line)) for line in lines}
    assert described == _commands()


def test_every_script_is_described() -> None:
    scripts = {path.name for path in (ROOT / "scripts").glob("*.py")}
    assert scripts == set(re.findall(r"^\| `(\w+\.py)[^`]*` \|", COMMANDS, re.MULTILINE))
