"""Make a home with work left open in it, as this version leaves it, for test_older_home.py.

    .venv/bin/python -m tests.e2e.homes.make

writes tests/e2e/homes/VERSION.tar.xz. Run it in a checkout of the version whose home is to be
kept, before the code changes; it takes about three minutes.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.e2e.homes.story import PATIENCE, Story, bad_mail_server, left_open, usual_day
from tests.e2e.people import PASSWORD
from tests.support.http_sink import serve_http
from tests.support.smtp_sink import serve_smtp
from tests.support.wait import wait_for

FOLDER = Path(__file__).parent
DATABASES = ("soonish.db", "temporal.db")
OPEN_KINDS = {
    "participant_added",
    "participant_removed",
    "event_updated",
    "send_manual_notification",
    "cancel_event",
    "wake",
}


def play(home: Path) -> Story:
    """Three runs: a usual day, one whose mail server is in trouble, one without Temporal."""
    story = Story(home)
    with serve_http() as hooks, serve_smtp() as mails:
        usual_day(story, hooks)
        bad_mail_server(story, mails)
        left_open(story)
        story.secrets["hook_port"] = str(hooks.port)
    soon = "remind_mes WHERE at < datetime('now')"
    wait_for(lambda: story.count(soon) == 1, PATIENCE, "the remind-me to be due")
    return story


def pack(story: Story, target: Path) -> None:
    """Databases without their logs, the secrets and the mails; and notes of what is in it."""
    check(story)
    for name in DATABASES:
        with contextlib.closing(sqlite3.connect(story.home / name)) as database:
            database.execute("PRAGMA journal_mode = delete")
            database.execute("VACUUM")
    with tarfile.open(target, "w:xz", preset=9) as archive:
        add(archive, "notes.json", json.dumps(notes(story), indent=1).encode())
        files = [story.home / name for name in (*DATABASES, "secrets.env")]
        for path in [*files, *sorted(story.home.glob("mail/*.eml"))]:
            add(archive, f"home/{path.relative_to(story.home)}", path.read_bytes())


def check(story: Story) -> None:
    """A home in which something came that should be open is not worth keeping."""
    assert story.states("Line up") == {"pending": 1}
    assert story.states("Doors at eight") == {"retrying": 1, "failed": 1}
    assert story.states("Seat plan") == {"sending": 1}
    assert story.count("remind_mes WHERE fired_at IS NULL") == 2
    kinds = {kind for (kind,) in story.query("SELECT kind FROM outbox WHERE done_at IS NULL")}
    assert kinds == OPEN_KINDS


def notes(story: Story) -> dict[str, Any]:
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    events = {
        name: {key: event[key] for key in ("id", "slug", "temporal_workflow_id")}
        for name, event in story.events.items()
    }
    made = {"made_at": made_at, "password": PASSWORD, "events": events}
    return {**made, "first_runs": story.first_runs, **story.secrets}


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    archive.addfile(entry, io.BytesIO(content))


def main() -> None:
    target = FOLDER / f"{version('soonish').rpartition('.')[0]}.tar.xz"
    home = Path(tempfile.mkdtemp(prefix="soonish-home-"))
    try:
        pack(play(home), target)
    finally:
        shutil.rmtree(home)
    print(f"{target}: {target.stat().st_size // 1000} kB", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
