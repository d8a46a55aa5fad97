"""`make up` installs what running needs, `make test` the rest, and neither does it twice.

The script runs in an empty clone with programs that write down how they were called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN, DEV = (
    "uv sync --locked --compile-bytecode --no-dev",
    "uv sync --locked --compile-bytecode --group=dev",
)
UV = """
case "$*" in
  "sync "*)
    [ ! -e "$STATE/uv-fails" ] || { echo "no answer from the registry" >&2; exit 2; }
    mkdir -p .venv/bin
    cp "$STATE/bin/python" .venv/bin/python
    cp "$STATE/bin/python" .venv/bin/soonish ;;
  "python find "*) [ ! -e "$STATE/no-python" ] ;;
esac
"""
NPM = """
case "$1" in
  ci) rm -rf node_modules && mkdir node_modules ;;
  run) mkdir -p src/soonish/web/assets && touch src/soonish/web/assets/manifest.json ;;
esac
"""


class Clone:
    """A clone with the real script, whose programs do no more than leave their traces."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "clone"
        self._state = folder / "state"
        (self.path / "src/soonish/web").mkdir(parents=True)
        (self.path / "scripts").mkdir()
        shutil.copy(ROOT / "scripts/bootstrap.sh", self.path / "scripts")
        for name in ("uv.lock", "pyproject.toml", "package.json", "package-lock.json"):
            self.write(name)
        (self._state / "bin").mkdir(parents=True)
        for name, body in {"uv": UV, "npm": NPM, "node": "", "python": ""}.items():
            program = self._state / "bin" / name
            program.write_text(f'#!/bin/sh\necho "{name} $*" >>"$STATE/calls"\n{body}')
            program.chmod(0o755)

    def write(self, name: str) -> None:
        """Write a file whose time is before that of everything the script makes."""
        (self.path / name).touch()
        os.utime(self.path / name, (1_000_000_000, 1_000_000_000))

    def change(self, name: str) -> None:
        """Give a file a time after everything the script made so far, and the stamps one before."""
        for stamp in (".venv/.soonish-synced", "node_modules/.soonish-installed"):
            os.utime(self.path / stamp, (1_100_000_000, 1_100_000_000))
        os.utime(self.path / name, (1_200_000_000, 1_200_000_000))

    def have(self, state: str) -> None:
        (self._state / state).touch()

    def bootstrap(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        calls = self._state / "calls"
        calls.write_text("")
        environment = {
            "PATH": f"{self._state / 'bin'}:/usr/bin:/bin",
            "HOME": str(self._state),
            "STATE": str(self._state),
        }
        return subprocess.run(
            [self.path / "scripts/bootstrap.sh", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def installs(self, *arguments: str) -> list[str]:
        """What `uv` and `npm` are asked to install by a run that ends well."""
        done = self.bootstrap(*arguments)
        assert done.returncode == 0, done.stderr
        calls = (self._state / "calls").read_text().splitlines()
        wanted = [line for line in calls if line.startswith(("uv sync", "npm ci"))]
        return [line.partition(" --no-audit")[0] for line in wanted]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_running_needs_no_packages_for_checks(clone: Clone) -> None:
    assert clone.installs() == [RUN, "npm ci --omit=dev"]
    assert clone.installs() == []


def test_checks_add_theirs_once_and_running_leaves_them(clone: Clone) -> None:
    clone.installs()
    assert clone.installs("dev") == [DEV, "npm ci --include=dev"]
    assert clone.installs("dev") == []
    assert clone.installs() == []


@pytest.mark.parametrize(
    ("lock", "installed"), [("uv.lock", DEV), ("package-lock.json", "npm ci --include=dev")]
)
def test_a_new_lock_keeps_what_was_installed_for_checks(
    clone: Clone, lock: str, installed: str
) -> None:
    clone.installs("dev")
    clone.change(lock)
    assert clone.installs() == [installed]
    assert clone.installs() == []


def test_a_clone_that_was_moved_is_installed_again(clone: Clone) -> None:
    clone.installs("dev")
    clone.path = clone.path.rename(clone.path.with_name("moved"))
    assert clone.installs() == [DEV]


def test_a_failed_sync_is_not_blamed_on_python(clone: Clone) -> None:
    clone.have("uv-fails")
    done = clone.bootstrap()
    assert done.returncode == 1
    assert "no answer from the registry" in done.stderr
    assert "uv sync says why above" in done.stderr
    assert "3.11" not in done.stderr


def test_a_python_that_is_too_old_is_named(clone: Clone) -> None:
    clone.have("uv-fails")
    clone.have("no-python")
    done = clone.bootstrap()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "[set-up] Python 3.11 or newer is needed."


def test_after_a_failure_it_is_tried_again(clone: Clone) -> None:
    clone.have("uv-fails")
    assert clone.bootstrap().returncode == 1
    (clone.path.parent / "state/uv-fails").unlink()
    assert clone.installs() == [RUN, "npm ci --omit=dev"]
