"""Rows of results: {name, value, unit, aim?, ratio?}."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def row(name: str, value: float, unit: str, aim: float | None = None, *, less: bool = False) -> Row:
    """`ratio` is how well the aim is met: 1 or more is good, whichever way the aim points."""
    made: Row = {"name": name, "value": round(value, 2), "unit": unit}
    if aim is not None:
        made |= {"aim": round(aim, 2), "ratio": round(_ratio(value, aim, less), 2)}
    return made


def _ratio(value: float, aim: float, less: bool) -> float:
    if not less:
        return value / aim
    return aim / value if aim and value > 0 else float(value <= aim)


def p99(values: Sequence[float]) -> float:
    """The smallest value that at least 99% of the values do not exceed."""
    return sorted(values)[math.ceil(len(values) * 0.99) - 1]


def is_full() -> bool:
    """Whether the long forms are wanted: BENCH_FULL=1."""
    return os.environ.get("BENCH_FULL") == "1"
