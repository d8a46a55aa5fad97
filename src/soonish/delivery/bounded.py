"""A limit on what another side may answer, in bytes on the wire."""

from __future__ import annotations

import io
import socket
from typing import Final

ANSWER_LIMIT: Final = 256 * 1024  # head, trailers and chunk marks of an HTTP answer included


class AnswerTooLong(OSError):
    """The other side sent more than an answer may hold."""


class BoundedReader(io.RawIOBase):
    """Reads from `source` until `limit` bytes have come; then raises AnswerTooLong."""

    def __init__(self, source: io.RawIOBase | socket.SocketIO, limit: int = ANSWER_LIMIT) -> None:
        self._source = source
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._left <= 0:
            raise AnswerTooLong("the answer is too long")
        count = self._source.readinto(buffer)  # pyright: ignore[reportAttributeAccessIssue]
        self._left -= count or 0
        return count

    def close(self) -> None:
        super().close()
        self._source.close()
