"""What `soonish up` leaves to processes that end, and why: what stays must not be heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from soonish.local.jobs import NOT_YET

pytestmark = pytest.mark.processes

HEAVY = ("sqlalchemy", "alembic", "temporalio", "apprise", "fastapi", "redis")


def _python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [("soonish.cli.up", HEAVY), ("soonish.worker.main", ("redis", "alembic"))],
)
def test_a_process_that_stays_loads_only_what_it_uses(
    module: str, unwanted: tuple[str, ...]
) -> None:
    code = f"import sys, {module}; print(*(n for n in {unwanted} if n in sys.modules))"
    done = _python("-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_a_database_that_cannot_be_prepared_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = _python(
        *("-m", "soonish.local.jobs", "database"),
        SOONISH_HOME=str(tmp_path),
        DATABASE_URL=f"sqlite:///{tmp_path}/file/soonish.db",
    )
    assert done.returncode == 1
    assert done.stdout.startswith("The database cannot be prepared: ")
    assert done.stdout.count("\n") == 1


def test_temporal_that_does_not_answer_may_be_asked_again(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    done = _python(
        *("-m", "soonish.local.jobs", "temporal"),
        SOONISH_HOME=str(tmp_path),
        TEMPORAL_URL=f"127.0.0.1:{free_port()}",
    )
    assert (done.returncode, done.stdout) == (NOT_YET, "")
