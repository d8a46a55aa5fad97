"""`soonish db ...` on SQLite and PostgreSQL, and what is said where there is no database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.support.ports import free_port


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere(
    request: pytest.FixtureRequest, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """An empty home with no database yet, on either database, without Temporal."""
    monkeypatch.setenv("TEMPORAL_URL", f"127.0.0.1:{free_port()}")
    if request.param == "postgresql":
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("postgres_url"))
    return CommandLine(empty_home)


def test_a_database_is_made_filled_and_emptied(anywhere: CommandLine) -> None:
    missing = anywhere("db", "check")
    assert missing.code == 1
    assert "soonish db upgrade" in missing.line
    revision = anywhere.do("db", "upgrade")["revision"]
    assert anywhere.do("db", "check") == {"ok": True, "revision": revision}
    first = anywhere.do("db", "seed")
    assert all(row["made"] for row in first)
    again = anywhere.do("db", "seed")
    assert again == [{**row, "made": False} for row in first]
    assert len(anywhere.do("event", "list")) == 2
    assert anywhere("db", "reset").code == 2
    assert anywhere.do("db", "reset", "--yes") == {"reset": True}
    assert anywhere.do("event", "list") == []


def test_commands_need_a_database(anywhere: CommandLine) -> None:
    for words in (("event", "list"), ("db", "seed"), ("outbox", "status"), ("event", "create")):
        made = anywhere(*words)
        assert made.code == 1
        assert "soonish db upgrade" in made.line
    assert not (anywhere.home / "soonish.db").exists()


def test_production_is_neither_filled_nor_emptied(
    soonish: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("BASE_URL", "https://soonish.example")
    for words in (("db", "seed"), ("db", "reset", "--yes")):
        made = soonish(*words)
        assert made.code == 1
        assert "development only" in made.line


def test_a_database_that_is_away_is_one_line(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@127.0.0.1:{free_port()}/nothing")
    made = CommandLine(empty_home)("event", "list")
    assert made.code == 1
    assert made.line.startswith("The database does not answer: ")


def test_a_server_that_lets_nobody_in_is_one_line(
    empty_home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_url + "_gone")
    made = CommandLine(empty_home)("event", "list")
    assert made.code == 1
    assert made.line.startswith("The database cannot be used: database ")


def test_a_file_that_is_no_database_is_one_line(empty_home: Path) -> None:
    empty_home.mkdir()
    (empty_home / "soonish.db").write_text("something else altogether " * 100)
    made = CommandLine(empty_home)("event", "list")
    assert made.code == 1
    assert made.line.startswith("The database cannot be used: file is not a database.")


def test_another_fingerprint_key_is_refused(
    soonish: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    soonish.do("event", "list")
    monkeypatch.setenv("FINGERPRINT_KEY", "another-key-" * 4)
    made = soonish("event", "list")
    assert made.code == 1
    assert made.line.startswith("FINGERPRINT_KEY is not the one")


def test_upgrade_makes_secrets_in_development(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SECRET_KEY", "ENCRYPTION_KEY", "FINGERPRINT_KEY"):
        monkeypatch.delenv(name)
    made = CommandLine(empty_home)("db", "upgrade")
    assert made.code == 0
    assert made.line.startswith("Made SECRET_KEY, ENCRYPTION_KEY, FINGERPRINT_KEY in ")
    secrets = (empty_home / "secrets.env").read_text()
    assert CommandLine(empty_home)("db", "upgrade").err == ""
    assert (empty_home / "secrets.env").read_text() == secrets


def test_production_makes_no_secrets(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.delenv("SECRET_KEY")
    CommandLine(empty_home)("db", "upgrade")
    assert not (empty_home / "secrets.env").exists()
