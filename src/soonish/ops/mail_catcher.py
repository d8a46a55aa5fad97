"""The mail server of a machine without one: takes every mail and keeps it as a file.

`python -m soonish.ops.mail_catcher` serves on 127.0.0.1:MAIL_CATCHER_PORT; `/dev/mail` and the
tests read with `list_mails` and `read_mail`. A mail is answered with 250 once its file is whole;
it is not synced to disk, because nobody's real mail passes here.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from functools import partial
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from soonish.config import load_settings
from soonish.errors import NotFound

KEEP = 10_000
PRUNE_EVERY = 500
SIZE_LIMIT = 20 * 1024 * 1024  # bytes
_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}\.eml")
_HEAD_BYTES = 16_384


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


def mail_folder(home: Path) -> Path:
    return home / "mail"


def list_mails(home: Path, limit: int = 100, query: str = "") -> list[CaughtMail]:
    """The newest caught mails first, at most `limit`; `query` is looked for in any case in
    sender, recipients and subject."""
    wanted = query.strip().lower()
    found: list[CaughtMail] = []
    for path in _newest_first(mail_folder(home)):
        mail = _entry(path)
        if mail and wanted in " ".join([mail.sender, *mail.recipients, mail.subject]).lower():
            found.append(mail)
        if len(found) >= limit:
            break
    return found


def read_mail(home: Path, name: str) -> CaughtMessage:
    """The caught mail of that file name; raises NotFound for any other name."""
    path = mail_folder(home) / name
    if not _NAME.fullmatch(name) or not path.is_file():
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


def _newest_first(folder: Path) -> Iterator[Path]:
    names = os.listdir(folder) if folder.is_dir() else []
    for name in sorted((name for name in names if _NAME.fullmatch(name)), reverse=True):
        yield folder / name


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


class Catcher:
    """The aiosmtpd handler: stores each mail in `folder` and keeps the newest `keep`."""

    def __init__(self, folder: Path, keep: int = KEEP) -> None:
        self._folder = folder
        self._keep = keep
        self._since_pruned = 0
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._prune()

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, host: str, replies: list[str]
    ) -> list[str]:
        # aiosmtpd answers in order from one buffer, which is all that RFC 2920 asks for.
        session.host_name = host
        return [*replies[:-1], "250-PIPELINING", replies[-1]]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        name = self._store(envelope)
        self._since_pruned += 1
        if self._since_pruned >= PRUNE_EVERY:
            self._since_pruned = 0
            await asyncio.to_thread(self._prune)
        return f"250 OK {name}"

    def _store(self, envelope: Envelope) -> str:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        name = f"{stamp}-{secrets.token_hex(4)}.eml"
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        sender, recipients = envelope.mail_from or "", ", ".join(envelope.rcpt_tos)
        head = f"X-Envelope-From: {sender}\r\nX-Envelope-To: {recipients}\r\n"
        temporary = self._folder / f".{name}"
        temporary.write_bytes(head.encode("utf-8", "surrogateescape") + content)
        temporary.rename(self._folder / name)
        return name

    def _prune(self) -> None:
        for number, path in enumerate(_newest_first(self._folder)):
            if number >= self._keep:
                path.unlink(missing_ok=True)


def protocol(handler: Any, loop: asyncio.AbstractEventLoop) -> SMTP:
    """A connection's protocol, with the extensions that real servers offer."""
    return SMTP(
        handler,
        enable_SMTPUTF8=True,
        data_size_limit=SIZE_LIMIT,
        hostname="localhost",
        ident="Soonish mail catcher",
        loop=loop,
    )


async def serve(folder: Path, port: int, stop: asyncio.Event) -> None:
    """Catch mail on 127.0.0.1:`port` until `stop` is set; raises OSError if the port is taken."""
    from soonish.ops.lifeline import notify_ready

    loop = asyncio.get_running_loop()
    factory = partial(protocol, Catcher(folder), loop)
    server = await loop.create_server(factory, "127.0.0.1", port, backlog=512)
    notify_ready()
    try:
        await stop.wait()
    finally:
        server.close()


async def _main() -> None:
    from soonish.ops.lifeline import watch_parent

    settings = load_settings()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    watch_parent()
    await serve(mail_folder(settings.soonish_home), settings.mail_catcher_port, stop)


if __name__ == "__main__":
    asyncio.run(_main())
