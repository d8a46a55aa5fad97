"""Kept-open HTTP connections to checked addresses, and a limit on the size of responses."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections import OrderedDict
from functools import cache
from typing import Any, Final, NamedTuple

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from soonish.delivery.transports.attempt import Attempt, current
from soonish.delivery.transports.egress.addresses import Network
from soonish.delivery.transports.egress.guard import connect

ANSWER_LIMIT: Final = 256 * 1024  # bytes, including an HTTP response's head, trailers and chunks


class AnswerTooLong(OSError):
    """The other side sent more than a response may have."""


class BoundedReader(io.RawIOBase):
    """Reads up to `limit` bytes from `source`, then raises AnswerTooLong."""

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


IDLE_LIMIT = 256  # connections
IDLE_SECONDS = 30.0


class Key(NamedTuple):
    """The destination of a connection and the networks that were allowed when it was made."""

    tls: bool
    host: str
    port: int
    allowed: tuple[Network, ...]


@cache
def tls_context() -> ssl.SSLContext:
    """Return the verifying context of all deliveries (making one takes 20 ms).

    It trusts the system's authorities, to which operators add theirs, and those of requests.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


class _Answer(http.client.HTTPResponse):
    """A response of bounded length.

    http.client takes 102 and 103 for final responses, and would leave the real one to the next
    user of the connection.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(BoundedReader(self.fp.detach()))

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # pyright: ignore
        return version, 100 if 101 < status < 200 else status, reason


class Connection:
    """An HTTP connection to a checked address, with SNI and certificate by name.

    Its socket has no timeout, the attempt's watchdog ends calls that take too long: with a
    timeout every call would poll first, and threads are switched whenever one waits.
    """

    def __init__(self, key: Key) -> None:
        self.key = key
        self.idle_since = 0.0
        self._sock: socket.socket | None = None
        self._handle: socket.socket | None = None

    def begin(self, attempt: Attempt) -> None:
        """Connect if necessary, and put the connection under the attempt's deadline.

        Raises the errors of connecting, and TimeoutError if the attempt's time is over.
        """
        if self._sock is None:
            self._connect()
        if self._handle is None:
            raise ConnectionError("not connected")
        attempt.watch(self._handle)
        _ = attempt.remaining

    def ask(self, method: str, request: bytes) -> http.client.HTTPResponse:
        """Send a whole request, and read the head of the response.

        Raises OSError or http.client.HTTPException.
        """
        if self._sock is None:
            raise ConnectionError("not connected")
        self._sock.sendall(request)
        answer = _Answer(self._sock, method=method)
        try:
            answer.begin()
        except BaseException:
            answer.close()
            raise
        return answer

    def _connect(self) -> None:
        sock = self._sock = connect(self.key.host, self.key.port)
        sock.settimeout(None)
        self._handle = sock.dup()  # shutting down the duplicate ends TLS handshakes and reads too
        if self.key.tls:
            current().watch(self._handle)
            self._sock = tls_context().wrap_socket(sock, server_hostname=self.key.host)

    def close(self) -> None:
        for sock in (self._sock, self._handle):
            if sock is not None:
                sock.close()
        self._sock = self._handle = None

    def is_dropped(self) -> bool:
        """Return True if the other side closed or sent something unasked, or after a long idle."""
        if self._handle is None or time.monotonic() - self.idle_since > IDLE_SECONDS:
            return True
        try:
            self._handle.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


class Connections:
    """Idle connections by key; when there are too many, the one idle longest is closed."""

    def __init__(self, limit: int = IDLE_LIMIT) -> None:
        self._limit = limit
        self._idle: OrderedDict[int, Connection] = OrderedDict()
        self._by_key: dict[Key, list[Connection]] = {}
        self._lock = threading.Lock()

    def take(self, key: Key) -> Connection | None:
        """Take the connection to that destination used last, if one is idle and still open."""
        while True:
            with self._lock:
                stack = self._by_key.get(key)
                if not stack:
                    return None
                connection = stack.pop()
                del self._idle[id(connection)]
                if not stack:
                    del self._by_key[key]
            if not connection.is_dropped():
                return connection
            connection.close()

    def keep(self, connection: Connection) -> None:
        """Put back a connection whose response was read to its end."""
        connection.idle_since = time.monotonic()
        oldest = None
        with self._lock:
            self._idle[id(connection)] = connection
            self._by_key.setdefault(connection.key, []).append(connection)
            if len(self._idle) > self._limit:
                oldest = self._remove_oldest()
        if oldest is not None:
            oldest.close()

    def _remove_oldest(self) -> Connection:
        _, oldest = self._idle.popitem(last=False)
        stack = self._by_key[oldest.key]
        stack.remove(oldest)
        if not stack:
            del self._by_key[oldest.key]
        return oldest

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            idle = list(self._idle.values())
            self._idle.clear()
            self._by_key.clear()
        for connection in idle:
            connection.close()


connections = Connections()
