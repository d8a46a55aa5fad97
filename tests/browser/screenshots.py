"""`python -m tests.browser.screenshots`: a picture of every page, written to ./screenshots."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "screenshots"


def main() -> int:
    """Take the pictures (phone, desktop, dark) while the pages are checked; pytest's exit code."""
    FOLDER.mkdir(exist_ok=True)
    os.environ["SCREENSHOTS"] = str(FOLDER)
    return pytest.main([str(Path(__file__).with_name("test_looks.py")), "-q"])


if __name__ == "__main__":
    sys.exit(main())
