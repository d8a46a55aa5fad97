"""`bench/results/table.md`: the newest rows of every scenario that has been measured."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from bench.harness import ROOT
from bench.rows import Row

FOLDER = ROOT / "bench" / "results"
IDLE_LOAD = 1.5  # the average still knows of the minute before
COLUMNS = ("what", "measured", "aim", "ratio to the aim")


def cells(row: Row) -> tuple[str, str, str, str]:
    """One row as text, in the order of COLUMNS."""
    aim = f"{row['aim']:,} {row['unit']}" if "aim" in row else ""
    return row["name"], f"{row['value']:,} {row['unit']}", aim, str(row.get("ratio", ""))


def write_table(scenarios: list[str], folder: Path = FOLDER) -> None:
    """Write the table, in the order of `scenarios`, from the JSON results in the folder."""
    newest = _newest(folder)
    rows = [row for name in scenarios for row in newest.get(name, [])]
    lines = [_line(COLUMNS), "|---|---:|---:|---:|", *(_line(cells(row)) for row in rows)]
    measured = [name for name in scenarios if name in newest]
    command = f"`.venv/bin/python -m bench {' '.join(measured)}`"
    about = f"{command} on {os.cpu_count()} cores. A ratio of 1 or more meets the aim."
    text = [*lines, "", about, *_disturbed(measured, folder), ""]
    (folder / "table.md").write_text("\n".join(text))


def _disturbed(measured: list[str], folder: Path) -> list[str]:
    """What to say of scenarios that were measured while the machine was at other work too."""
    loads = {
        row["scenario"]: result.get("load", 0.0)
        for result in _results(folder)
        for row in result["rows"]
        if "scenario" in row
    }
    busy = {name: loads[name] for name in measured if loads[name] > IDLE_LOAD}
    if not busy:
        return []
    which = ", ".join(busy)
    return [
        "",
        f"The machine was at other work too (load {max(busy.values()):g} before the run): {which}. "
        "That slows the loops more than Soonish, so do not trust their ratios.",
    ]


def _newest(folder: Path) -> dict[str, list[Row]]:
    """The rows by scenario; of several results the one made last."""
    found: dict[str, list[Row]] = {}
    for result in _results(folder):
        new: dict[str, list[Row]] = {}
        for row in result["rows"]:
            if "scenario" in row:
                new.setdefault(row["scenario"], []).append(row)
        found |= new
    return found


def _results(folder: Path) -> list[dict[str, Any]]:
    """The results in the folder, the oldest first."""
    results = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(results, key=lambda one: one["at"])


def _line(texts: tuple[str, ...]) -> str:
    return f"| {' | '.join(texts)} |"
