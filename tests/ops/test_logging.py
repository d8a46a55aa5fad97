"""Lines have the promised fields, and no secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator

import pytest
import structlog
from temporalio import activity, workflow

from soonish.config import Settings
from soonish.ops.logging import Redactor, configure_logging
from soonish.worker import interceptors

SECRETS = ("ada@example.org", "hooks.example.com", "T0KEN", "hunter2")


@pytest.fixture(autouse=True)
def restored() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def as_json(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(log_format="json", base_url="http://soonish.example:8000")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_the_fields_and_the_context(as_json: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(as_json, "api")
    structlog.contextvars.bind_contextvars(request_id="r1", event_id=7)
    structlog.get_logger("soonish").info("request", status=200)
    logging.getLogger("somewhere").warning("from %s", "stdlib")
    ours, theirs = lines(capsys)
    assert list(ours)[:4] == ["timestamp", "level", "service", "message"]
    assert str(ours["timestamp"]).endswith("Z")
    expected = {"level": "info", "service": "api", "message": "request", "status": 200}
    assert expected.items() <= ours.items()
    assert {"request_id": "r1", "event_id": 7}.items() <= ours.items()
    assert {"level": "warning", "message": "from stdlib"}.items() <= theirs.items()


def test_the_workflow_of_temporals_own_lines(
    as_json: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(as_json, "worker")
    extra = {"temporal_workflow": {"workflow_id": "event-7-x"}}
    logging.getLogger("temporalio.workflow").warning("slow", extra=extra)
    assert {"workflow_id": "event-7-x", "event_id": 7}.items() <= lines(capsys)[0].items()


def test_temporals_loggers_keep_the_message_short() -> None:
    assert interceptors  # it sets both
    assert not workflow.logger.workflow_info_on_message
    assert not activity.logger.activity_info_on_message


@pytest.mark.parametrize(
    ("workflow_id", "event_id"),
    [
        ("event-12-1d9777c0", 12),
        ("event-12-reminder-3600s-2026-11-23T09:02:23Z", 12),
        ("notification-12", None),
        ("event-x-1", None),
    ],
)
def test_the_event_is_known_from_its_workflow(
    as_json: Settings,
    capsys: pytest.CaptureFixture[str],
    workflow_id: str,
    event_id: int | None,
) -> None:
    configure_logging(as_json, "worker")
    structlog.contextvars.bind_contextvars(workflow_id=workflow_id)
    structlog.get_logger().info("activity")
    assert lines(capsys)[0].get("event_id") == event_id


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_comes_out(
    settings_for: Callable[..., Settings], capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    configure_logging(settings_for(log_format=log_format, debug=True), "worker")
    password = "hunter2"  # a local variable of the frame that raises
    log = structlog.get_logger("soonish")
    log.info("to ada@example.org", url="slack://T0KEN/x", nested={"a": ["ada@example.org"]})
    try:
        raise ValueError(f"POST https://hooks.example.com/T0KEN?{len(password)}")
    except ValueError as error:
        log.exception("failed", error=error)
        logging.getLogger("library").exception("failed with ada@example.org")
    logging.getLogger("apprise").critical("sent to https://hooks.example.com/T0KEN")
    logging.getLogger("urllib3.connectionpool").debug("POST /T0KEN")
    written = capsys.readouterr().err
    assert written.count("Traceback") == 2
    assert "ValueError: POST https://[redacted]" in written
    for secret in SECRETS:
        # The frame's own source line is no secret, its values are.
        assert secret not in written.replace('f"POST https://hooks.example.com/T0KEN', "")


def test_levels(settings_for: Callable[..., Settings], capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings_for(log_level="WARNING", log_format="json"), "api")
    structlog.get_logger("soonish").info("not this")
    structlog.get_logger("soonish").warning("but this")
    assert [line["message"] for line in lines(capsys)] == ["but this"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("plain text, 12:30", "plain text, 12:30"),
        ("to <ada.l@mail.example.org>: ok", "to <[address]>: ok"),
        ("ready at http://localhost:8000", "ready at http://localhost:8000"),
        ("GET http://localhost:8000/u/TOKEN done", "GET http://localhost:8000/[redacted] done"),
        ("postgresql+asyncpg://me:pw@db/soonish", "postgresql+asyncpg://[redacted]"),
        ("mailto://user:pw@host?to=x", "mailto://[redacted]"),
        ("http://user:pw@localhost:8000/", "http://[redacted]"),
        ("http://localhost:80001/x", "http://[redacted]"),
    ],
)
def test_masking(text: str, masked: str) -> None:
    assert Redactor("http://localhost:8000").redact(text) == masked


def test_masking_is_quick_on_long_text() -> None:
    text = "a" * 200_000 + "@"
    assert Redactor("http://localhost:8000").redact(text) == text
