"""A wrong setting is one clear error that names the variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from soonish.config import load_settings
from soonish.errors import ConfigurationError


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOONISH_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "0"),
        ("WORKERS", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("BASE_URL", "soonish.example"),
        ("BASE_URL", "ftp://soonish.example"),
        ("BASE_URL", "https://"),
        ("ANONYMOUS_OPT_IN", "triple"),
        ("SMTP_SECURITY", "ssl"),
        ("ENVIRONMENT", "staging"),
        ("EVENT_GRACE_DAYS", "-1"),
        ("EVENT_GRACE_DAYS", "inf"),
        ("EVENT_GRACE_DAYS", "nan"),
        ("EVENT_GRACE_DAYS", "1e9"),
        ("DEFAULT_REMINDERS", "1h"),
        ("DEFAULT_REMINDERS", "59"),
        ("DEFAULT_REMINDERS", "3600,31536001"),
        ("EGRESS_ALLOWED_NETWORKS", "internal"),
        ("TRUSTED_PROXIES", "internal"),
        ("DATABASE_URL", "mysql://host/name"),
        ("DATABASE_URL", "sqlite+pysqlite:///file"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as raised:
        load_settings()
    assert raised.value.detail.startswith(name)
    assert "\n" not in raised.value.detail
    assert "Value error" not in raised.value.detail


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("LOG_LEVEL", "warning", "WARNING"),
        ("BASE_URL", "http://localhost:9000/", "http://localhost:9000"),
        ("EVENT_GRACE_DAYS", "0.5", 0.5),
        ("DEFAULT_REMINDERS", "60, 31536000", [60, 31_536_000]),
        ("DEFAULT_REMINDERS", ",", []),
        ("DATABASE_URL", "sqlite:////data/a.db", "sqlite+aiosqlite:////data/a.db"),
        ("DATABASE_URL", "postgresql://u@host/name", "postgresql+asyncpg://u@host/name"),
    ],
)
def test_what_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: object
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(load_settings(), name.lower()) == expected
