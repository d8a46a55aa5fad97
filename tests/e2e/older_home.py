"""A home that an older version left behind (tests/e2e/homes), unpacked as if it were fresh.

Two things are not as they were kept, so that a test comes out the same in every year:

- Every instant in the database is moved by the age of the archive, as if the older version had been
  stopped a moment ago: what is open has not expired. The dates of events and reminders are in
  2090 and stay, and so does the audit log, which may not be changed. Temporal's store keeps its
  own times: its timers are overdue.
- Webhooks that led to the sink of then lead to the sink of now.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import tarfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from itsdangerous import URLSafeSerializer

HOMES = sorted((Path(__file__).parent / "homes").glob("*.tar.xz"))
FAR = "2090"  # later instants are of events
FIXED = {"audit_entries"}
LINK_AGE = timedelta(days=59)  # links in mails work for 60 days


@dataclass(frozen=True)
class OlderHome:
    """The unpacked home, and what its maker noted (see homes/make.py)."""

    path: Path
    notes: dict[str, Any]
    mails: frozenset[str]

    def event(self, name: str) -> dict[str, Any]:
        return self.notes["events"][name]

    def aged_link(self, purpose: str, token: str) -> str:
        """The token of a link in an old mail, as if that mail had come 59 days ago."""
        signer = URLSafeSerializer(
            secrets_of(self.path)["SECRET_KEY"],
            salt=f"soonish.subscriptions.{purpose}",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
        *claims, _ = signed = signer.loads(token)
        assert signer.dumps(signed) == token, "the older version signs in another way"
        return str(signer.dumps([*claims, int(time.time() - LINK_AGE.total_seconds())]))


def unpack(archive: Path, folder: Path, hook_port: int) -> OlderHome:
    """The archive's home in this folder, as the module says."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    notes = json.loads((folder / "notes.json").read_text())
    home = folder / "home"
    age = datetime.now(UTC) - datetime.fromisoformat(notes["made_at"])
    with contextlib.closing(sqlite3.connect(home / "soonish.db")) as database, database:
        make_younger(database, int(age.total_seconds()))
        move_hooks(database, secrets_of(home), notes["hook_port"], hook_port)
    return OlderHome(home, notes, frozenset(path.name for path in home.glob("mail/*.eml")))


def secrets_of(home: Path) -> dict[str, str]:
    lines = (home / "secrets.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def make_younger(database: sqlite3.Connection, seconds: int) -> None:
    for table, column in instants(database):
        moved = f"strftime('%Y-%m-%d %H:%M:%f', {column}, '+{seconds} seconds') || '000'"
        database.execute(f"UPDATE {table} SET {column} = {moved} WHERE {column} < '{FAR}'")  # noqa: S608 - names of the schema


def instants(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """(table, column) of everything that holds an instant."""
    found = database.execute(
        "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c"
        " WHERE t.type = 'table' AND c.type = 'DATETIME'"
    )
    return [(table, column) for table, column in found.fetchall() if table not in FIXED]


def move_hooks(
    database: sqlite3.Connection, secrets: dict[str, str], before: str, after: int
) -> None:
    key = Fernet(secrets["ENCRYPTION_KEY"])
    for row_id, stored in database.execute("SELECT id, apprise_url FROM integrations").fetchall():
        url = key.decrypt(stored).decode()
        if f":{before}/" in url:
            moved = key.encrypt(url.replace(f":{before}/", f":{after}/").encode()).decode()
            database.execute(
                "UPDATE integrations SET apprise_url = ? WHERE id = ?", (moved, row_id)
            )
