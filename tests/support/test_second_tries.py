"""Second tries as `make test` gives them, and `make test-steady`, which gives none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.second_tries import MARKERS

ROOT = Path(__file__).parents[2]
SAMPLE = '''
import os
from pathlib import Path
import pytest
from hypothesis import given, strategies

def fail_once(name: str) -> None:
    """Fail the first time that this is asked for."""
    seen = Path(__file__).with_name(name)
    if not seen.exists():
        seen.touch()
        raise RuntimeError(f"bad luck of {name}")

'''
ONE = "@pytest.mark.{0}\ndef test_{0}(): fail_once('{0}')\n"
LUCKY = "".join(ONE.format(marker) for marker in MARKERS)
UNIT = "def test_unit(): fail_once('unit')\n"
PROPERTY = """
@pytest.mark.system
@given(strategies.just("property"))
def test_property(name): fail_once(name)
"""
FIXTURE = """
@pytest.fixture(scope="module")
def server():
    fail_once("server")
    return "up"

@pytest.mark.system
def test_server(server): assert server == "up"
"""
BROKEN = "@pytest.mark.browser\ndef test_broken(): raise RuntimeError('broken')\n"
CRASH = """
@pytest.mark.processes
def test_crash():
    try: fail_once("crash")
    except RuntimeError: os._exit(1)

@pytest.mark.processes
def test_other(): Path(__file__).with_name("other").touch()
"""


class Sample:
    """A file of tests of its own, run as a target of the Makefile runs ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, target: str, tests: str, *values: str) -> tuple[bool, str]:
        """Return whether the target's last command succeeds for these tests, and its output."""
        path = self.folder / "test_sample.py"
        path.write_text(SAMPLE + tests)
        done = subprocess.run(
            ["bash", "-c", _recipe(target, *values)],
            cwd=ROOT,
            env=self._environment(path),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode == 0, done.stdout + done.stderr

    def _environment(self, path: Path) -> dict[str, str]:
        options = (
            f"-c {ROOT}/pyproject.toml --rootdir {self.folder} {path}",
            "-p tests.support.second_tries -p no:schemathesis",  # slow to load
        )
        ours = {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": " ".join(options)}
        return {name: os.environ[name] for name in ("PATH", "HOME")} | ours


def _recipe(target: str, *values: str) -> str:
    """Return the command of the Makefile that runs pytest for a target."""
    command = ["make", "--no-print-directory", "-n", target, "TESTS=", *values]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return said[said.index('export CHROMIUM="$(') :]


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path)


def _listed(output: str) -> str:
    """Return what stands below the heading of the second tries."""
    return output.partition("needed a second try")[2]


def test_what_fails_once_by_luck_passes_and_is_listed(sample: Sample) -> None:
    passed, output = sample.make("test", LUCKY + FIXTURE)
    assert passed, output
    assert "4 needed a second try" in output
    assert "4 passed, 4 rerun" in _listed(output)
    for name in MARKERS:
        assert f"test_sample.py::test_{name}\n" in _listed(output)
        assert f"RuntimeError: bad luck of {name}\n" in _listed(output)
    assert "bad luck of server\n" in _listed(output)


def test_others_and_what_fails_twice_fail(sample: Sample) -> None:
    passed, output = sample.make("test", LUCKY + UNIT + PROPERTY + BROKEN)
    assert not passed
    for name in ("unit", "property", "broken"):
        assert re.search(rf"FAILED .*test_sample.py::test_{name}\b", output)
    assert "test_unit" not in _listed(output)
    assert "test_property" not in _listed(output)
    assert "3 failed, 3 passed, 4 rerun" in output


def test_a_process_of_pytest_that_dies_fails_the_run_and_the_others_go_on(sample: Sample) -> None:
    passed, output = sample.make("test", CRASH)
    assert not passed
    assert "crashed while running 'test_sample.py::test_crash'" in output
    assert (sample.folder / "other").exists()


def test_steady_is_without_second_tries_and_runs_every_round(sample: Sample) -> None:
    passed, output = sample.make("test-steady", LUCKY, "COUNT=2")
    assert not passed
    first, second = output.split("Round 2 of 2")
    assert "== 3 failed in" in first
    assert "== 3 passed in" in second
    assert "1 of 2 rounds failed" in second
    passed, output = sample.make("test-steady", LUCKY)
    assert passed, output
    assert "0 of 1 rounds failed" in output


def test_every_test_with_a_browser_is_marked() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:schemathesis"]
    done = subprocess.run(
        [*command, "-m", "not browser", "tests/browser"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout
