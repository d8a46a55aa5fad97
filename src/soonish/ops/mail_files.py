"""Where the caught mails of a home are, and how their files are named: by the time they came."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}\.eml")


def mail_folder(home: Path) -> Path:
    """Where caught mails are."""
    return home / "mail"


def newest_first(folder: Path) -> Iterator[Path]:
    """The caught mails in the folder."""
    names = os.listdir(folder) if folder.is_dir() else []
    for name in sorted((name for name in names if NAME.fullmatch(name)), reverse=True):
        yield folder / name
