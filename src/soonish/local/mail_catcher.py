"""The mail server of a machine without one: takes every mail and keeps it as a file.

`python -m soonish.local.mail_catcher FOLDER PORT` serves on 127.0.0.1:PORT; `local.caught_mail`
reads. A mail is answered with 250 once its file is whole; it is not synced to disk, because
nobody's real mail passes here. `mailbox.Maildir` syncs each mail, which takes 8 ms of the event
loop (about 110 mails a second against 220 to 600 so), and its names do not sort by time.
Settings are not loaded: they would take half of the memory.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from soonish.local.caught_mail import newest_first
from soonish.local.parent import notify_ready, watch_parent

KEEP = 10_000
PRUNE_EVERY = 500
SIZE_LIMIT = 20 * 1024 * 1024  # bytes


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
        for number, path in enumerate(newest_first(self._folder)):
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
    loop = asyncio.get_running_loop()
    factory = partial(protocol, Catcher(folder), loop)
    server = await loop.create_server(factory, "127.0.0.1", port, backlog=512)
    notify_ready()
    try:
        await stop.wait()
    finally:
        server.close()


async def _main(folder: Path, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    watch_parent()
    await serve(folder, port, stop)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2])))
