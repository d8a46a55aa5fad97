"""Exceptions from the security rules of ruff and bandit say why, beside them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted(p for folder in ("src", "scripts") for p in (ROOT / folder).rglob("*.py"))
_MARK = re.compile(r"# noqa: S\d+|# nosec B\d+")


def unexplained(text: str) -> list[str]:
    """The lines with an exception and fewer than four letters beside it."""
    found = [line for line in text.splitlines() if _MARK.search(line)]
    return [line for line in found if not re.search(r"[a-z]{4}", _beside(line))]


def _beside(line: str) -> str:
    comments = line[line.index("  # ") :]
    return _MARK.sub("", comments)


def test_every_exception_has_a_reason() -> None:
    assert [line for path in SOURCES for line in unexplained(path.read_text())] == []


def test_an_exception_without_a_reason_is_found_out() -> None:
    lines = ["run()  # noqa: S603", "run()  # nosec B603", "run()  # noqa: S603 # nosec B603"]
    assert unexplained("\n".join(lines)) == lines
    assert unexplained("run()  # noqa: S603 - no shell # nosec B603") == []
