"""`uv run python -m tests.workflows.record_histories`: the replay tests' histories, recorded anew.

The workflow tests write those that are missing, so this deletes them and runs those tests. What
an older version recorded (`former-...`) stays: such runs may still be under way somewhere.
"""

from __future__ import annotations

import subprocess
import sys

from tests.workflows.running import HISTORIES


def main() -> int:
    for path in HISTORIES.glob("*.json"):
        if not path.stem.startswith("former-"):
            path.unlink()
    folder = HISTORIES.parent
    tests = [str(folder / f"test_{name}.py") for name in ("event", "broadcast", "reminders")]
    tests.append(str(folder.parent / "retention" / "test_workflow.py"))
    command = [sys.executable, "-m", "pytest", "-q", "-k", "sqlite", *tests]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
