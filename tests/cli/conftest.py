"""`soonish`: the command line in this process, in a home of its own with a migrated database."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from soonish.cli.main import app
from soonish.infra.db import crypto, migrate
from tests.support.settings import SECRETS, make_settings
from tests.support.temporal import TemporalServer

TEST_EMAIL = "tester@example.com"


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """Its only line on stderr."""
        (line,) = self.err.strip().splitlines()
        return line


class CommandLine:
    """`soonish(...)` runs a command; `soonish.do(...)` one that must succeed."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: object, stdin: str | None = None) -> Outcome:
        made = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
        if made.exception and not isinstance(made.exception, SystemExit):
            raise made.exception
        return Outcome(made.exit_code, made.stdout, made.stderr)

    def do(self, *words: object, stdin: str | None = None) -> Any:
        """What the command prints as JSON."""
        made = self(*words, "--json", stdin=stdin)
        assert made.code == 0, made.err
        return made.json()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("migrated")
    migrate.upgrade(make_settings(home))
    return home / "soonish.db"


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Secrets in the environment, nothing else; keys and logging are put back afterwards."""
    for name in SECRETS:
        monkeypatch.setenv(name.upper(), SECRETS[name])
    monkeypatch.setenv("SOONISH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    root, configured = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    present, plain = dict(os.environ), make_settings(tmp_path)
    yield tmp_path / "home"
    crypto.configure(plain)
    structlog.configure(**configured)
    root.handlers[:], root.level = handlers, level
    for name in os.environ.keys() - present.keys():
        del os.environ[name]


@pytest.fixture
def soonish(
    empty_home: Path,
    migrated_file: Path,
    temporal_server: TemporalServer,
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:
    """A migrated home beside a Temporal that answers; nobody works there."""
    monkeypatch.setenv("TEMPORAL_URL", temporal_server.address)
    monkeypatch.setenv("TEST_EMAIL", TEST_EMAIL)
    empty_home.mkdir()
    shutil.copy(migrated_file, empty_home / "soonish.db")
    return CommandLine(empty_home)
