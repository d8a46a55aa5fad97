"""`--second-tries`: a test of browsers, servers or processes that fails is tried once more.

Only tests with one of MARKERS, and never one of Hypothesis. `make test` gives the option and
`make test-steady` does not. The run ends with the tests that needed it, each with its first error.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

MARKERS = ("browser", "processes", "system")
LINES = 3  # of an error


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--second-tries",
        action="store_true",
        help=f"try tests marked {', '.join(MARKERS)} a second time when they fail",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("second_tries"):
        for item in filter(_may_be_tried_again, items):
            item.add_marker(pytest.mark.flaky(reruns=1))


def _may_be_tried_again(item: pytest.Item) -> bool:
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        return False  # it has found an example, and says that it fails again
    return any(item.get_closest_marker(name) for name in MARKERS)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Write the list below everything else that pytest has to say."""
    yield
    first: dict[str, pytest.TestReport] = {}
    for report in terminalreporter.getreports("rerun"):
        first.setdefault(report.nodeid, report)
    if first:
        terminalreporter.write_sep("=", f"{len(first)} needed a second try", yellow=True)
    for nodeid, report in first.items():
        terminalreporter.write_line(nodeid)
        for line in _first_error(report):
            terminalreporter.write_line(f"    {line}")


def _first_error(report: pytest.TestReport) -> list[str]:
    """Return where a test failed and the first lines of its error."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None:
        return str(report.longrepr).splitlines()[:LINES]
    return [f"{crash.path}:{crash.lineno}", *crash.message.splitlines()[:LINES]]
