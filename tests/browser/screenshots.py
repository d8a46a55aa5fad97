"""`python -m tests.browser.screenshots`: pictures of all pages and mails, in ./screenshots."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "screenshots"


def main() -> int:
    """Take the pictures while the pages and mails are checked; pytest's exit code."""
    FOLDER.mkdir(exist_ok=True)
    os.environ["SCREENSHOTS"] = str(FOLDER)
    tests = (
        str(Path(__file__).with_name(name)) for name in ("test_looks.py", "test_mail_looks.py")
    )
    return pytest.main([*tests, "-q"])


if __name__ == "__main__":
    sys.exit(main())
