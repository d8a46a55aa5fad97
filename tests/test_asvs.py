"""The ASVS table of docs/security.md leaves nothing out, and every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# How many requirements of levels 1 and 2 each section has; level 3's come after them.
SECTIONS = {
    1: (2, 9, 11, 3, 2),
    2: (3, 3, 4, 1),
    3: (0, 2, 4, 6, 5, 0, 2),
    4: (3, 1, 2, 4),
    5: (1, 3, 2, 3),
    6: (3, 12, 4, 4, 5, 3, 0, 4),
    7: (3, 4, 2, 5, 2, 2),
    8: (2, 3, 1, 1),
    9: (3, 4),
    10: (2, 2, 4, 11, 5, 2, 3),
    11: (2, 3, 3, 4, 1, 1),
    12: (3, 2, 4),
    13: (1, 5, 2, 5),
    14: (2, 4, 3),
    15: (3, 3, 7),
    16: (1, 5, 4, 3, 3),
    17: (1, 4, 2),
}
REQUIREMENTS = {
    f"{chapter}.{section}.{number}"
    for chapter, counts in SECTIONS.items()
    for section, count in enumerate(counts, 1)
    for number in range(1, count + 1)
}


def rows(title: str) -> list[list[str]]:
    """The rows of the table below this heading, as their cells."""
    page = (ROOT / "docs/security.md").read_text()
    table = page.partition(f"### {title}\n")[2].partition("\n#")[0]
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| v5")]
    return [[cell.strip() for cell in cells] for cells in lines]


def covered(cell: str) -> set[str]:
    """The requirements that a cell names, one by one or by section or chapter."""
    named = [name.removeprefix("v5.0.0-") for name in re.findall(r"v5\.0\.0-[\d.]+", cell)]
    return {one for one in REQUIREMENTS for name in named if f"{one}.".startswith(f"{name}.")}


def test_every_requirement_is_in_one_of_the_tables() -> None:
    met = [covered(row[0]) for row in rows("Met")]
    others = [
        covered(row[0]) for title in ("Not met, or by the operator", "Does not apply")
        for row in rows(title)
    ]  # fmt: skip
    assert all(len(one) == 1 for one in met)
    named = [one for group in (*met, *others) for one in group]
    assert sorted(named) == sorted(REQUIREMENTS)


@pytest.mark.parametrize("row", rows("Met"), ids=lambda row: row[0])
def test_a_test_proves_it(row: list[str]) -> None:
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[3])
    assert tests
    for path, name in tests:
        source = (ROOT / path).read_text()
        assert re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), f"{path}::{name}"
