"""Settings for tests: a home and secrets of their own, nothing from a `.env`."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from soonish.config import Settings

SECRETS = {
    "secret_key": "a-secret-key-for-tests-" + "s" * 20,
    "encryption_key": base64.urlsafe_b64encode(b"e" * 32).decode(),
    "fingerprint_key": "a-fingerprint-key-for-tests-" + "f" * 20,
}


def make_settings(home: Path, **overrides: Any) -> Settings:
    """Settings with this home, without rate limits; `overrides` are setting names in lowercase."""
    values = {**SECRETS, "soonish_home": home, "rate_limits_enabled": False, **overrides}
    return Settings(_env_file=None, **values)  # pyright: ignore[reportCallIssue]


def forget_environment() -> None:
    """Take every setting out of the environment, so that a shell's PORT changes no test."""
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
