"""`<home>/secrets.env`: the secrets that `soonish up` generates once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet

from soonish.config import SECRET_NAMES

_MAKERS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "ENCRYPTION_KEY": lambda: Fernet.generate_key().decode(),
    "FINGERPRINT_KEY": lambda: secrets.token_urlsafe(48),
}


def ensure_secrets(home: Path, present: frozenset[str] = frozenset()) -> list[str]:
    """Write the secrets that neither the file nor `present` has; return their names.

    `present` names the secrets that come from elsewhere (environment, `.env`). Values in the file
    never change: without them the stored addresses would be unreadable. The file has mode 0600
    from its first byte and is written atomically.
    """
    path = home / "secrets.env"
    text = path.read_text() if path.is_file() else ""
    pairs = [line.partition("=") for line in text.splitlines()]
    held = {name.strip() for name, _, value in pairs if value.strip()}
    missing = [name for name in SECRET_NAMES if name not in held | present]
    if missing:
        start = text if not text or text.endswith("\n") else f"{text}\n"
        _replace(path, start + "".join(f"{name}={_MAKERS[name]()}\n" for name in missing))
    return missing


def replace_secret(home: Path, name: str, value: str) -> None:
    """Replace a secret in the file, atomically."""
    path = home / "secrets.env"
    lines = path.read_text().splitlines() if path.is_file() else []
    kept = [line for line in lines if line.partition("=")[0].strip() != name]
    _replace(path, "".join(f"{line}\n" for line in [*kept, f"{name}={value}"]))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
