"""`make bench` (the quick ones) or `python -m bench SCENARIO ...`."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from bench.report import COLUMNS, FOLDER, cells, write_table
from bench.rows import Row
from bench.scenarios import QUICK, SCENARIOS


def show(rows: list[Row]) -> None:
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*cells(row))
    Console(width=110).print(table)


def measure(name: str) -> list[Row]:
    print(f"{name} ...", flush=True)
    started = time.monotonic()
    rows = [{"scenario": name} | row for row in SCENARIOS[name]()]
    for row in rows:
        print(f"  {row['name']}: {row['value']:,} {row['unit']}")
    print(f"  ({time.monotonic() - started:.0f} s)", flush=True)
    return rows


def save(names: list[str], rows: list[Row], load: float) -> None:
    """`load`: what the machine did beside us, its load average before the first scenario."""
    FOLDER.mkdir(exist_ok=True)
    at = datetime.now(UTC).isoformat()
    result = {"at": at, "python": platform.python_version(), "load": round(load, 1), "rows": rows}
    path = FOLDER / f"{'-'.join(names) or 'quick'}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    write_table(list(SCENARIOS))


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; known: {', '.join(SCENARIOS)}")
    load = os.getloadavg()[0]
    rows: list[Row] = []
    for name in names or QUICK:
        rows += measure(name)
        save(names, rows, load)  # each time: what follows may fail
    show(rows)
    if not names:
        others = " ".join(name for name in SCENARIOS if name not in QUICK)
        print(f"The others: [BENCH_FULL=1] .venv/bin/python -m bench {others}")


if __name__ == "__main__":
    main(sys.argv[1:])
