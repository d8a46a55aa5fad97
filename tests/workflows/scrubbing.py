"""Histories are committed without what belongs to the machine that recorded them."""

from __future__ import annotations

import json
import re
from typing import Any

_PROCESS = re.compile(r"^\d+@.*")


def scrubbed(history: str) -> str:
    """The history's JSON without stack traces and process names."""
    return json.dumps(_scrub(json.loads(history)), indent=1) + "\n"


def _scrub(value: Any) -> Any:
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _scrub_field(key, item) for key, item in value.items()}


def _scrub_field(key: str, value: Any) -> Any:
    if key == "stackTrace":
        return ""
    if key in ("identity", "name") and isinstance(value, str):
        return _PROCESS.sub("recorder", value)  # a sticky queue is named after its process
    return _scrub(value)
