"""`make bench` or `python -m bench [SCENARIO ...]`."""

from __future__ import annotations

import json
import platform
import sys
import time
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from bench.harness import ROOT
from bench.scenarios import SCENARIOS, Row


def show(rows: list[Row]) -> None:
    table = Table("what", "measured", "aim", "ratio to the aim")
    for row in rows:
        value = f"{row['value']:,} {row['unit']}"
        table.add_row(row["name"], value, str(row.get("aim", "")), str(row.get("ratio", "")))
    Console(width=100).print(table)


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; known: {', '.join(SCENARIOS)}")
    rows: list[Row] = []
    for name in names or list(SCENARIOS):
        print(f"{name} ...", flush=True)
        started = time.monotonic()
        found = SCENARIOS[name]()
        rows += found
        for row in found:
            print(f"  {row['name']}: {row['value']:,} {row['unit']}")
        print(f"  ({time.monotonic() - started:.0f} s)", flush=True)
    show(rows)
    folder = ROOT / "bench" / "results"
    folder.mkdir(exist_ok=True)
    at = datetime.now(UTC)
    result = {"at": at.isoformat(), "python": platform.python_version(), "rows": rows}
    name = "-".join(names) or "all"
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
