"""Under `soonish up` every line is in a file, and the console shows what one looks on for."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import structlog

from soonish.config import Settings
from soonish.ops.log_files import LOG_FILE, REQUESTS, LogFile
from soonish.ops.logging import configure_logging


@pytest.fixture
def log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Where `configure_logging` puts lines, as the supervisor tells a part."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setenv(LOG_FILE, str(tmp_path / "api.log"))
    yield tmp_path / "api.log"
    for handler in root.handlers:
        if isinstance(handler, LogFile):
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def log_one_of_each() -> None:
    structlog.get_logger(REQUESTS).info("request", status=200)
    structlog.get_logger("soonish.worker").info("activity", attempt=1)
    structlog.get_logger("soonish.worker").debug("detail")
    logging.getLogger("temporalio.workflow").info("%s started", "EventWorkflow")
    logging.getLogger("temporalio.workflow").warning("%s failed", "EventWorkflow")


def words(text: str) -> list[str]:
    """The words of our lines in this text, in order."""
    known = ("request", "activity", "detail", "started", "failed")
    return [next(word for word in known if word in line) for line in text.splitlines()]


def test_the_console_shows_warnings_and_requests(
    log_file: Path, settings_for: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(settings_for(), "worker")
    log_one_of_each()
    assert words(capsys.readouterr().err) == ["request", "failed"]
    assert words(log_file.read_text()) == ["request", "activity", "started", "failed"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"log_level": "DEBUG"}, ["request", "activity", "detail", "started", "failed"]),
        ({"log_format": "json"}, ["request", "activity", "started", "failed"]),
        ({"log_level": "WARNING"}, ["failed"]),
    ],
)
def test_the_console_shows_what_is_asked_for(
    log_file: Path,
    settings_for: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
    asked: dict[str, str],
    expected: list[str],
) -> None:
    configure_logging(settings_for(**asked), "worker")
    log_one_of_each()
    assert words(capsys.readouterr().err) == expected
    assert words(log_file.read_text()) == expected


def test_a_process_of_its_own_shows_everything(
    settings_for: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
    log_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(LOG_FILE)
    configure_logging(settings_for(), "worker")
    log_one_of_each()
    assert words(capsys.readouterr().err) == ["request", "activity", "started", "failed"]
    assert not log_file.exists()


def test_the_file_is_private_and_has_no_secret(
    log_file: Path, settings_for: Callable[..., Settings]
) -> None:
    configure_logging(settings_for(log_format="json"), "api")
    structlog.get_logger().info("told", whom="ada@example.org")
    assert json.loads(log_file.read_text())["whom"] == "[address]"
    assert stat.S_IMODE(log_file.stat().st_mode) == 0o600


def test_it_is_rotated(tmp_path: Path) -> None:
    handler = LogFile(tmp_path / "api.log", max_bytes=100, kept=2)
    for number in range(50):
        handler.emit(logging.makeLogRecord({"msg": f"line {number:02}", "levelno": logging.INFO}))
    handler.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["api.log", "api.log.1", "api.log.2"]
    assert all(file.stat().st_size <= 100 for file in files)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert files[0].read_text().endswith("line 49\n")


def test_a_file_that_cannot_be_written_costs_no_more_than_its_lines(
    tmp_path: Path,
    settings_for: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
    log_file: Path,
) -> None:
    log_file.mkdir()
    configure_logging(settings_for(), "api")
    for _ in range(3):
        structlog.get_logger().warning("told", whom="ada@example.org")
    err = capsys.readouterr().err
    assert err.count("The log file cannot be written") == 1
    assert err.count("told") == 3
    assert "ada@" not in err
