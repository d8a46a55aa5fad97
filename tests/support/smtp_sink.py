"""A real SMTP server in a thread that records what it gets and can be told to refuse."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.ports import free_port
from tests.support.wait import wait_for


@dataclass(frozen=True)
class ReceivedMail:
    """One accepted mail: its envelope, its bytes and the monotonic second of its arrival."""

    sender: str
    recipients: list[str]
    raw: bytes
    at: float

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)  # pyright: ignore[reportReturnType]


@dataclass
class SmtpSink:
    """The server's record and its switches.

    `refuse[address]` and `data_reply[address]` are replies for RCPT and DATA of that recipient;
    `drop_after` closes each connection after that many accepted mails; `connections` counts them.
    """

    port: int
    pipelining: bool = True
    mails: list[ReceivedMail] = field(default_factory=list[ReceivedMail])
    refuse: dict[str, str] = field(default_factory=dict[str, str])
    data_reply: dict[str, str] = field(default_factory=dict[str, str])
    drop_after: int | None = None
    delay: float = 0.0
    connections: int = 0

    def to(self, address: str) -> list[ReceivedMail]:
        return [mail for mail in self.mails if address in mail.recipients]

    def wait_for(self, count: int, address: str = "", seconds: float = 10.0) -> list[ReceivedMail]:
        """Wait until `count` mails (to that address, if given) are here; return them."""

        def got() -> list[ReceivedMail]:
            return self.to(address) if address else list(self.mails)

        wait_for(lambda: len(got()) >= count, seconds, f"{count} mails to {address or 'anyone'}")
        return got()

    # aiosmtpd's hooks

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, host: str, replies: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = host
        extra = ["250-PIPELINING"] if self.pipelining else []
        return [*replies[:-1], *extra, replies[-1]]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await asyncio.sleep(self.delay)
        refused = [self.data_reply[a] for a in envelope.rcpt_tos if a in self.data_reply]
        if refused:
            return refused[0]
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        recipients, now = list(envelope.rcpt_tos), time.monotonic()
        self.mails.append(ReceivedMail(envelope.mail_from or "", recipients, raw, now))
        self._maybe_drop(server, session)
        return "250 OK"

    def _maybe_drop(self, server: SMTP, session: Any) -> None:
        session.accepted = getattr(session, "accepted", 0) + 1
        if session.accepted == self.drop_after and server.transport:
            # After the reply to this mail has been written.
            asyncio.get_running_loop().call_later(0.02, server.transport.close)


@contextlib.contextmanager
def serve_smtp() -> Generator[SmtpSink]:
    """Run a sink on a free port of loopback."""
    sink, loop = SmtpSink(free_port()), asyncio.new_event_loop()

    def protocol() -> SMTP:
        return SMTP(sink, enable_SMTPUTF8=True, hostname="localhost", loop=loop)

    server = loop.run_until_complete(loop.create_server(protocol, "127.0.0.1", sink.port))
    thread = threading.Thread(target=loop.run_forever, name="smtp-sink", daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
