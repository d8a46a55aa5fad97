"""POST requests at a fixed rate, over kept connections, with as little work as possible."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Request = tuple[str, dict[str, Any]]  # path and JSON body


@dataclass
class Answers:
    """`seconds` of each, from the instant at which its request was due; `ended`: monotonic."""

    seconds: list[float] = field(default_factory=list[float])
    statuses: Counter[int] = field(default_factory=Counter[int])
    began: float = 0.0
    ended: float = 0.0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.seconds) / (self.ended - self.began)


class Clients:
    """A pool of connections to one port; there are as many as requests under way at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def post(self, path: str, body: dict[str, Any]) -> int:
        """The status of the answer. ConnectionError where the server hangs up."""
        connection = self._reuse() or await self._connect()
        reader, writer = connection
        writer.write(self._request(path, json.dumps(body).encode()))
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        await reader.readexactly(int(length.group(1)) if length else 0)
        self._idle.append(connection)
        return int(head.split(b" ", 2)[1])

    def _reuse(self) -> Connection | None:
        """The connection used last that the server has not closed meanwhile."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return None

    async def _connect(self) -> Connection:
        return await asyncio.open_connection("127.0.0.1", self._port)

    def _request(self, path: str, body: bytes) -> bytes:
        lines = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
        about = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return (lines + about).encode() + body

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def post_at(
    port: int, rate: float, seconds: float, request: Callable[[int], Request]
) -> Answers:
    """Send request(0), request(1), ... `rate` a second, whether or not earlier ones are answered:
    a server that stalls is charged for all who wait."""
    clients, answers = Clients(port), Answers(began=time.monotonic())

    async def one(number: int) -> None:
        due = answers.began + number / rate
        await asyncio.sleep(due - time.monotonic())
        answers.statuses[await clients.post(*request(number))] += 1
        answers.seconds.append(time.monotonic() - due)

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            group.create_task(one(number))
    answers.ended = time.monotonic()
    clients.close()
    return answers
