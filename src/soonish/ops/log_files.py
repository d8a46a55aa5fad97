"""The log file of a part of `soonish up`: every line goes there, to the console only a few.

Standard library only: the supervisor imports this.
"""

from __future__ import annotations

import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

LOG_FILE = "SOONISH_LOG_FILE"  # the supervisor tells each part its own: one writer per file
MAX_BYTES = 5 * 1024 * 1024
KEPT = 3  # older files beside it, .1 to .3
REQUESTS = "soonish.requests"  # the logger of the access log


def log_folder(home: Path) -> Path:
    """Return the folder of a home's log files."""
    return home / "logs"


def shown_on_console(record: logging.LogRecord) -> bool:
    """Let warnings and requests through, for the console of somebody who looks on."""
    return record.levelno >= logging.WARNING or record.name == REQUESTS


class LogFile(RotatingFileHandler):
    """A file for its owner's eyes, which is rotated at MAX_BYTES."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=kept, encoding="utf-8", delay=True)
        self._failure = ""

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_open_private)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say once what is wrong; the standard library would print the line, secrets and all."""
        failure = str(sys.exc_info()[1])
        if failure != self._failure:
            self._failure = failure
            print(f"The log file cannot be written: {failure}", file=sys.stderr)  # noqa: T201


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
