"""What a SQLite database says, read from its file: of a running system, or of a backup."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet


def query(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
        return connection.execute(statement, values).fetchall()


def rows_in_flight(home: Path) -> int:
    """Deliveries that some worker holds a lease of: what a kill now may send twice."""
    counted = query(home / "soonish.db", "SELECT count(*) FROM deliveries WHERE state = 'sending'")
    return int(str(counted[0][0]))


def paths_sent(database: Path, home: Path, title: str) -> set[str]:
    """The paths of the webhooks that this message is known to have reached."""
    sent = query(
        database,
        "SELECT i.apprise_url FROM deliveries d"
        " JOIN notifications n ON n.id = d.notification_id"
        " JOIN integrations i ON i.user_id = d.user_id"
        " WHERE d.state = 'sent' AND n.title = ?",
        title,
    )
    key = Fernet(_encryption_key(home))
    urls = [key.decrypt(value if isinstance(value, bytes) else str(value)) for (value,) in sent]
    return {urlsplit(url.decode()).path for url in urls}


def _encryption_key(home: Path) -> str:
    lines = (home / "secrets.env").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("ENCRYPTION_KEY="))
