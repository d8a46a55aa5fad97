"""What was lost, came twice and was in flight: tests note it, the end of the run shows it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

COLUMNS = ("rounds", "messages", "lost", "duplicates", "in flight")
PROPERTY = "chaos"
Figures = Callable[..., None]


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Call it with what was counted: rounds, messages, lost, duplicates, in_flight (0 if not)."""

    def note(
        *, messages: int, rounds: int = 1, lost: int = 0, duplicates: int = 0, in_flight: int = 0
    ) -> None:
        counted = [rounds, messages, lost, duplicates, in_flight]
        request.node.user_properties.append((PROPERTY, counted))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    totals = _totals(terminalreporter)
    if not totals:
        return
    width = max(len(name) for name in totals)
    terminalreporter.section("chaos: what was lost, came twice and was in flight")
    terminalreporter.write_line(" ".join([" " * width, *(f"{c:>10}" for c in COLUMNS)]))
    for name, counted in sorted(totals.items()):
        terminalreporter.write_line(" ".join([f"{name:{width}}", *(f"{n:>10}" for n in counted)]))


def _totals(reporter: pytest.TerminalReporter) -> dict[str, list[int]]:
    """By test, without its parameters."""
    totals: dict[str, list[int]] = {}
    for report in (one for reports in reporter.stats.values() for one in reports):
        if getattr(report, "when", "") != "call":
            continue
        name = report.nodeid.partition("::")[2].partition("[")[0].removeprefix("test_")
        for _, counted in (p for p in report.user_properties if p[0] == PROPERTY):
            before = totals.get(name, [0] * len(COLUMNS))
            totals[name] = [a + b for a, b in zip(before, counted, strict=True)]
    return totals
