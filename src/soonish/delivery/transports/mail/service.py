"""Send Soonish's own mails through the operator's SMTP server.

See docs/architecture.md#service-mail.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from soonish.config import Settings
from soonish.delivery.transports.attempt import Attempt, enter_delivery_thread, running
from soonish.delivery.transports.classify import NOT_STARTED
from soonish.delivery.transports.egress import install
from soonish.delivery.transports.mail.mime import (
    MailContent,
    MailTemplate,
    parse_recipient,
    reply_address,
)
from soonish.delivery.transports.mail.smtp import (
    ConnectionDropped,
    Envelope,
    MailConnection,
    MailServerUnusable,
    refusal,
)
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.delivery.transports.threads import ResultQueue, ResultQueues
from soonish.errors import InvalidInput

__all__ = ["Mail", "MailContent", "MailTemplate", "ServiceMail", "reply_address"]

CONNECTIONS: Final = 4
UNUSABLE_RETRY_SECONDS: Final = 10.0
_MAILS_PER_CONNECTION: Final = 10  # for fewer no further connection is opened

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Mail:
    """One mail of a batch: `values` fill the template's slots; retries keep the `message_id`."""

    to: str
    message_id: str
    template: MailTemplate
    values: Mapping[str, str] = field(default_factory=dict[str, str])

    def envelope(self) -> Envelope:
        """Return the mail for SMTP. Raises InvalidInput for an invalid address or value."""
        recipient = parse_recipient(self.to)
        self.template.check(self.message_id, self.values)
        return Envelope(
            self.template.envelope_sender,
            recipient.address,
            not recipient.is_ascii,
            lambda eight_bit: self.template.assemble(
                recipient.address, self.message_id, self.values, eight_bit
            ),
        )


@dataclass(eq=False)
class _Item:
    """A queued mail (None: a health check) and the future of its result."""

    envelope: Envelope | None
    future: asyncio.Future[SendResult]
    results: ResultQueue
    start_before: float = math.inf  # by time.monotonic

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self.start_before

    def finish(self, result: SendResult) -> None:
        self.results.post(self.future, result)


class ServiceMail:
    """Sends over a few kept-open connections.

    Each has its own thread, which reaches SMTP_SERVER:SMTP_PORT and nothing else.
    """

    def __init__(self, settings: Settings, connections: int = CONNECTIONS) -> None:
        install.install(settings)
        self._settings = settings
        self._result_queues = ResultQueues()
        self._items: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._idle = 0
        self._closed = False
        self._limit = connections
        self._threads: list[threading.Thread] = []

    async def send_batch(
        self, mails: Sequence[Mail], *, start_within: float = math.inf
    ) -> list[SendResult]:
        """Send all; return results in the same order. Raises nothing but CancelledError.

        A mail that may or may not have been accepted when the connection dropped is a retryable
        `connection`; one that cannot start within `start_within` seconds is NOT_STARTED.
        """
        start_before = time.monotonic() + start_within
        loop, results = self._result_queues.current()
        items: list[_Item] = []
        futures: list[asyncio.Future[SendResult]] = []
        for mail in mails:
            future: asyncio.Future[SendResult] = loop.create_future()
            futures.append(future)
            try:
                items.append(_Item(mail.envelope(), future, results, start_before))
            except InvalidInput as error:
                future.set_result(SendResult(Outcome.INVALID_TARGET, error.errors[0].message))
        self._queue(items)
        return [await future for future in futures]

    async def check(self) -> SendResult:
        """Connect if necessary and send NOOP; return whether mail can go out now."""
        loop, results = self._result_queues.current()
        future: asyncio.Future[SendResult] = loop.create_future()
        self._queue([_Item(None, future, results)])
        return await future

    def close(self, patience: float = 15.0) -> None:
        """Wait for mails in flight, then close the connections and end the threads.

        Blocks at most `patience` seconds; a mail still in flight then ends with the process.
        Mails that have not started are not sent: their result is NOT_STARTED.
        """
        with self._changed:
            self._closed = True
            left = list(self._items)
            self._items.clear()
            self._changed.notify_all()
        for item in left:
            item.finish(NOT_STARTED)
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _queue(self, items: list[_Item]) -> None:
        with self._changed:
            if self._closed:
                for item in items:
                    item.finish(NOT_STARTED)
                return
            self._items.extend(items)
            wanted = min(self._limit, 1 + len(self._items) // _MAILS_PER_CONNECTION)
            for _ in range(wanted - self._idle):
                if len(self._threads) < self._limit:
                    self._add_thread()
            self._changed.notify(wanted)

    def _add_thread(self) -> None:
        name = f"service-mail-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _next(self, *, wait: bool) -> _Item | None:
        with self._changed:
            while True:
                while self._items:
                    item = self._items.popleft()
                    if not item.is_late:
                        return item
                    item.finish(NOT_STARTED)
                if self._closed or not wait:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1

    def _work(self) -> None:
        enter_delivery_thread()
        worker = _Worker(self._settings)
        while (item := self._next(wait=True)) is not None:
            while item is not None:
                following = self._next(wait=False)
                try:
                    worker.deliver(item, following)
                except MailServerUnusable as error:
                    self._fail_all(error, item, following)
                    break
                item = following
        worker.close()

    def _fail_all(self, error: MailServerUnusable, *taken: _Item | None) -> None:
        """Defer all mails if there is no connection: no mail is at fault, so none counts a try."""
        with self._changed:
            queued = [item for item in (*taken, *self._items) if item is not None]
            self._items.clear()
        log.warning("service_mail_unusable", detail=error.detail, code=error.code)
        result = SendResult(
            Outcome.CONNECTION, error.detail, error.code, UNUSABLE_RETRY_SECONDS, retryable=True
        )
        for item in queued:
            item.finish(result)


class _Worker:
    """One thread's connection, opened when needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: MailConnection | None = None

    def deliver(self, item: _Item, following: _Item | None) -> None:
        """Send and finish `item`, unless there is no connection: then raise MailServerUnusable."""
        attempt = Attempt(only=(self._settings.smtp_server, self._settings.smtp_port))
        with running(attempt):
            try:
                result = self._send(item, following)
            except MailServerUnusable:
                self.close()
                raise
            except Exception as error:
                self.close()
                result = _dropped(error, attempt)
        item.finish(result)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _send(self, item: _Item, following: _Item | None) -> SendResult:
        connection = self._ready_connection()
        try:
            return _converse(connection, item, following)
        except OSError as error:
            # A mail is certainly not delivered before its body was sent, so try it again: some
            # servers close after a number of mails, or while idle.
            is_fresh = connection.concluded == 0
            if isinstance(error, TimeoutError) or connection.is_in_body or is_fresh:
                raise
        self.close()
        return _converse(self._ready_connection(), item, following)

    def _ready_connection(self) -> MailConnection:
        if self._connection is not None and self._connection.is_dropped:
            self.close()
        if self._connection is None:
            self._connection = MailConnection(self._settings)
        return self._connection


def _converse(connection: MailConnection, item: _Item, following: _Item | None) -> SendResult:
    if item.envelope is None:
        code = connection.noop()
        return SendResult(Outcome.OK, status=code) if code < 400 else refusal(code)
    if item.envelope.needs_utf8 and not connection.is_utf8:
        detail = "The mail server does not take addresses with such characters"
        return SendResult(Outcome.REJECTED, detail)
    envelope = following.envelope if following else None
    if envelope is not None and envelope.needs_utf8 and not connection.is_utf8:
        envelope = None
    return connection.deliver(item.envelope, envelope)


def _dropped(error: Exception, attempt: Attempt) -> SendResult:
    if attempt.expired or isinstance(error, TimeoutError):
        return SendResult(Outcome.TIMEOUT, "The mail server did not answer in time", retryable=True)
    if not isinstance(error, OSError):
        log.error("service_mail_error", error=type(error).__name__)
    code = error.code if isinstance(error, ConnectionDropped) else None
    return SendResult(
        Outcome.CONNECTION, "The mail server closed the connection", code, retryable=True
    )
