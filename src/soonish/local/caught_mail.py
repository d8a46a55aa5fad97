"""Read the mails that the catcher took, for `/dev/mail` and the tests."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from soonish.errors import NotFound

_HEAD_BYTES = 16_384
NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}\.eml")


@dataclass(frozen=True)
class CaughtMail:
    """A mail in the list: its file's name, when it came, the envelope and the subject."""

    name: str
    received_at: datetime
    sender: str
    recipients: list[str]
    subject: str


@dataclass(frozen=True)
class CaughtMessage:
    """A whole mail: the list's entry, its headers in order, both bodies ("" where it has none)."""

    mail: CaughtMail
    headers: list[tuple[str, str]]
    text: str
    html: str
    raw: bytes = field(repr=False)


def list_mails(home: Path, limit: int = 100, query: str = "") -> list[CaughtMail]:
    """The newest caught mails first, at most `limit`; `query` is looked for in any case in
    sender, recipients and subject."""
    wanted = query.strip().lower()
    found: list[CaughtMail] = []
    for path in newest_first(mail_folder(home)):
        mail = _entry(path)
        if mail and wanted in " ".join([mail.sender, *mail.recipients, mail.subject]).lower():
            found.append(mail)
        if len(found) >= limit:
            break
    return found


def read_mail(home: Path, name: str) -> CaughtMessage:
    """The caught mail of that file name; raises NotFound for any other name."""
    path = mail_folder(home) / name
    if not NAME.fullmatch(name) or not path.is_file():
        raise NotFound("There is no such mail.")
    raw = path.read_bytes()
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(raw)
    return CaughtMessage(
        mail=_parse_head(name, raw[:_HEAD_BYTES]),
        headers=[(key, str(value)) for key, value in message.items()],
        text=_body(message, "plain"),
        html=_body(message, "html"),
        raw=raw,
    )


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part else ""


def _entry(path: Path) -> CaughtMail | None:
    """The list's entry of a file, or None where pruning was faster."""
    try:
        with path.open("rb") as file:
            return _parse_head(path.name, file.read(_HEAD_BYTES))
    except FileNotFoundError:
        return None


def _parse_head(name: str, head: bytes) -> CaughtMail:
    """Read three headers without a parser: the list of thousands of mails is to be quick."""
    block = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0].decode("utf-8", "replace")
    lines = re.sub(r"\r?\n[ \t]+", " ", block).splitlines()
    values: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        values.setdefault(key.lower(), value.strip())
    stamp = datetime.strptime(name.partition("Z-")[0], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
    return CaughtMail(
        name=name,
        received_at=stamp,
        sender=values.get("x-envelope-from", ""),
        recipients=[part for part in values.get("x-envelope-to", "").split(", ") if part],
        subject=_decoded(values.get("subject", "")),
    )


def _decoded(value: str) -> str:
    try:
        return str(make_header(decode_header(value))) if "=?" in value else value
    except (LookupError, ValueError):
        return value


def mail_folder(home: Path) -> Path:
    """Return the folder of a home's caught mails."""
    return home / "mail"


def newest_first(folder: Path) -> Iterator[Path]:
    """Yield the paths of the caught mails in the folder."""
    names = os.listdir(folder) if folder.is_dir() else []
    for name in sorted((name for name in names if NAME.fullmatch(name)), reverse=True):
        yield folder / name
