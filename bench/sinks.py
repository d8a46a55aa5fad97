"""HTTP and SMTP sinks in a process of their own: as quick as Python allows, counting what comes.

`python -m bench.sinks HTTP_PORT SMTP_PORT [DELAY_MS [ADDRESSES]]`: HTTP also at 127.0.1.1 to
127.0.1.ADDRESSES, every answer DELAY_MS late. GET /stats on the HTTP port answers {count, distinct,
first, last, mails, distinct_mails, mail_first, mail_last} (times: monotonic seconds), GET /times
{hooks: [...], mails: [...]}, GET /reset starts over. POST /broken/... answers 500 and POST
/hang/... nothing at all; neither is counted, nor is mail to organizers.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb"\r\nwebhook-id: *([^\r]+)", re.IGNORECASE)
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Count:
    """What arrived, under which ids, and when."""

    ids: Counter[bytes] = field(default_factory=Counter[bytes])
    times: array[float] = field(default_factory=lambda: array("d"))

    def add(self, identity: bytes) -> None:
        self.times.append(time.monotonic())
        self.ids[identity] += 1

    @property
    def first(self) -> float:
        return self.times[0] if self.times else 0.0

    @property
    def last(self) -> float:
        return self.times[-1] if self.times else 0.0


class State:
    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.reset()

    def reset(self) -> None:
        self.hooks, self.mails = Count(), Count()

    def stats(self) -> bytes:
        return json.dumps(
            {
                "count": len(self.hooks.times),
                "distinct": len(self.hooks.ids),
                "first": self.hooks.first,
                "last": self.hooks.last,
                "mails": len(self.mails.times),
                "distinct_mails": len(self.mails.ids),
                "mail_first": self.mails.first,
                "mail_last": self.mails.last,
            }
        ).encode()

    def times(self) -> bytes:
        return json.dumps(
            {"hooks": self.hooks.times.tolist(), "mails": self.mails.times.tolist()}
        ).encode()


class Http(asyncio.Protocol):
    def __init__(self, state: State) -> None:
        self.state = state
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[: end + 2]
            length = _LENGTH.search(head)
            size = end + 4 + (int(length.group(1)) if length else 0)
            if len(self.buffer) < size:
                return
            self.buffer = self.buffer[size:]
            self.answer(head)

    def answer(self, head: bytes) -> None:
        if head.startswith(b"GET /"):
            self.control(head)
            return
        if head.startswith((b"POST /broken", b"POST /hang")):
            self.misbehave(head)
            return
        identity = _ID.search(head)
        hooks = self.state.hooks
        hooks.add(identity.group(1) if identity else str(len(hooks.times)).encode())
        if self.state.delay:
            asyncio.get_running_loop().call_later(self.state.delay, self.transport.write, _OK)
        else:
            self.transport.write(_OK)

    def misbehave(self, head: bytes) -> None:
        if head.startswith(b"POST /broken"):
            self.transport.write(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")

    def control(self, head: bytes) -> None:
        if head.startswith(b"GET /reset"):
            self.state.reset()
        body = self.state.times() if head.startswith(b"GET /times") else self.state.stats()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Smtp(asyncio.Protocol):
    """Enough of RFC 5321 with PIPELINING (RFC 2920) to take mail and count Message-IDs."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.buffer = b""
        self.in_data = False
        self.recipient = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        replies: list[bytes] = []
        while True:
            if self.in_data:
                end = self.buffer.find(b"\r\n.\r\n")
                if end < 0:
                    break
                self.take(self.buffer[:end])
                self.buffer = self.buffer[end + 5 :]
                self.in_data = False
                replies.append(b"250 taken\r\n")
            else:
                line, separator, rest = self.buffer.partition(b"\r\n")
                if not separator:
                    break
                self.buffer = rest
                replies.append(self.reply(line[:4].upper(), line))
        self.transport.write(b"".join(replies))

    def reply(self, verb: bytes, line: bytes) -> bytes:
        if verb == b"RCPT":
            self.recipient = line
            return b"250 ok\r\n"
        if verb == b"EHLO":
            return b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
        if verb == b"DATA":
            self.in_data = True
            return b"354 go on\r\n"
        if verb == b"QUIT":
            asyncio.get_running_loop().call_soon(self.transport.close)
            return b"221 bye\r\n"
        return b"250 ok\r\n"

    def take(self, mail: bytes) -> None:
        if b"<organizer-" in self.recipient:
            return
        start = mail.find(b"Message-ID:")
        self.state.mails.add(mail[start : mail.find(b"\r\n", start)])


async def _serve(http_port: int, smtp_port: int, delay_ms: float = 0, addresses: int = 0) -> None:
    state = State(delay_ms / 1000)
    loop = asyncio.get_running_loop()
    hosts = ["127.0.0.1", *(f"127.0.1.{number}" for number in range(1, addresses + 1))]
    await loop.create_server(lambda: Http(state), hosts, http_port, backlog=1000)
    await loop.create_server(lambda: Smtp(state), "127.0.0.1", smtp_port, backlog=1000)
    await asyncio.Event().wait()


if __name__ == "__main__":
    http, smtp, *options = sys.argv[1:]
    delay, count = float(options[0]) if options else 0, int(options[1]) if options[1:] else 0
    asyncio.run(_serve(int(http), int(smtp), delay, count))
