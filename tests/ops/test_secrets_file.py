"""Secrets are made once, for this user's eyes only, and never changed."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography.fernet import Fernet

from soonish.config import SECRET_NAMES
from soonish.infra.secrets_file import ensure_secrets


def read(home: Path) -> dict[str, str]:
    lines = (home / "secrets.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_makes_all_of_them_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert ensure_secrets(home) == list(SECRET_NAMES)
    first = read(home)
    assert set(first) == set(SECRET_NAMES)
    assert len(set(first.values())) == len(SECRET_NAMES)
    Fernet(first["ENCRYPTION_KEY"])
    assert all(len(value) >= 32 for value in first.values())

    assert ensure_secrets(home) == []
    assert read(home) == first


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    ensure_secrets(tmp_path)
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.env"]


def test_adds_what_is_missing_and_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("# mine\nSECRET_KEY=kept\nENCRYPTION_KEY=")
    assert ensure_secrets(tmp_path) == ["ENCRYPTION_KEY", "FINGERPRINT_KEY"]
    lines = (tmp_path / "secrets.env").read_text().splitlines()
    assert lines[:3] == ["# mine", "SECRET_KEY=kept", "ENCRYPTION_KEY="]
    assert lines[3].startswith("ENCRYPTION_KEY=")
    assert lines[4].startswith("FINGERPRINT_KEY=")


def test_a_secret_from_the_environment_is_not_made(tmp_path: Path) -> None:
    assert ensure_secrets(tmp_path, frozenset({"SECRET_KEY"})) == list(SECRET_NAMES[1:])
    assert "SECRET_KEY" not in read(tmp_path)
