"""The output of commands: aligned columns for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def show(as_json: bool, data: Any, text: str) -> None:
    """Print `data` as JSON if asked for, else `text`."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False) if as_json else text)


def show_rows(
    as_json: bool, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], nothing: str
) -> None:
    """Print the rows: all fields as a JSON list, or these columns; `nothing` without rows."""
    show(as_json, list(rows), table(rows, columns) if rows else nothing)


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return aligned columns with headings; None and empty values are `-`."""
    heading = [name.replace("_", " ").upper() for name in columns]
    lines = [heading, *([_cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def fields(row: Mapping[str, Any]) -> str:
    """Return one `name: value` line per field."""
    width = max((len(name) for name in row), default=0) + 1
    return "\n".join(f"{f'{name}:'.ljust(width)} {_cell(value)}" for name, value in row.items())


def warn(line: str) -> None:
    """Print a line on stderr that does not change the exit code."""
    typer.echo(line, err=True)


def _cell(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)  # pyright: ignore[reportUnknownVariableType]
    return " ".join(str(value).split())
