"""One message to one target through Apprise, with an honest outcome.

See docs/architecture.md#ledger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog
from apprise import NotifyFormat, NotifyType
from apprise.plugins.base import NotifyBase

from soonish.config import Settings
from soonish.delivery.transports import classify
from soonish.delivery.transports.apprise.cache import host_key, instantiate
from soonish.delivery.transports.apprise.plugins import AskedToWait, format_of
from soonish.delivery.transports.apprise.schemes import WEBHOOKS
from soonish.delivery.transports.attempt import Attempt, running
from soonish.delivery.transports.classify import NOT_STARTED
from soonish.delivery.transports.egress import install
from soonish.delivery.transports.http.connections import connections
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.delivery.transports.threads import FairThreads, ResultQueue, ResultQueues
from soonish.errors import InvalidInput
from soonish.i18n import _

DEFAULT_THREADS: Final = (
    512  # as many as there is to wait for: they come when nothing else is to do
)

log = structlog.get_logger(__name__)


class Sender:
    """Sends from threads of its own; `threads` is their greatest number.

    One destination (host, or hosted service) holds at most a quarter of them.
    """

    def __init__(self, settings: Settings, threads: int = DEFAULT_THREADS) -> None:
        install.install(settings)
        self._settings = settings
        self._threads = FairThreads("delivery", threads)
        self._mailboxes = ResultQueues()
        self._closing = False

    async def send(
        self, url: str, message: Message, *, start_within: float | None = None
    ) -> SendResult:
        """One attempt, over at most 15 s after it starts.

        If its turn comes later than `start_within` seconds from now, nothing is sent and the
        result is NOT_STARTED. Raises CancelledError only; what has started is then not stopped.
        """
        return await self.start(url, message, start_within=start_within)

    def start(
        self, url: str, message: Message, *, start_within: float | None = None
    ) -> asyncio.Future[SendResult]:
        """As `send`, for who waits for many; it goes on whether or not anybody waits."""
        loop, mailbox = self._mailboxes.current()
        future: asyncio.Future[SendResult] = loop.create_future()
        late = None if start_within is None else time.monotonic() + start_within

        def job() -> None:
            self._run(url, message, late, future, mailbox)

        if not self._threads.submit(host_key(url), job):
            future.set_result(NOT_STARTED)
        return future

    async def send_many(
        self, items: Sequence[tuple[str, Message]], *, start_within: float | None = None
    ) -> list[SendResult]:
        """Send all (url, message) at once; results in the same order."""
        futures = [self.start(url, message, start_within=start_within) for url, message in items]
        return [await future for future in futures]

    def close(self, patience: float = 15.0) -> None:
        """Let what is under way end, then close threads and connections.

        Blocks at most `patience` seconds; what then is still under way ends with the process.
        What has not begun is not sent: its result is NOT_STARTED.
        """
        self._closing = True
        self._threads.close()
        self._threads.join(patience)
        connections.close()

    def _run(
        self,
        url: str,
        message: Message,
        late: float | None,
        future: asyncio.Future[SendResult],
        mailbox: ResultQueue,
    ) -> None:
        if future.cancelled():
            return
        if self._closing or (late is not None and time.monotonic() > late):
            mailbox.post(future, NOT_STARTED)
            return
        try:
            result = self._attempt(url, message)
        except BaseException as error:
            # Whatever a plugin raises, the caller gets a result; its text may hold secrets.
            log.error("delivery_error", error=type(error).__name__)
            result = SendResult(Outcome.UNKNOWN, _("The delivery failed inside the plugin"))
        mailbox.post(future, result)

    def _attempt(self, url: str, message: Message) -> SendResult:
        try:
            plugin = instantiate(url)
        except InvalidInput:
            return classify.INVALID
        attempt = Attempt(allowed=self._settings.allowed_networks)
        if plugin.schema in WEBHOOKS and message.message_id:
            attempt.headers = {"webhook-id": message.message_id}
        accepted, wait = False, None
        with running(attempt):
            try:
                accepted = notify(plugin, message)
            except AskedToWait as asked:
                wait = asked.seconds
            except Exception as error:  # the attempt knows more than the exception's text
                log.warning("plugin_error", service=plugin.schema, error=type(error).__name__)
        return classify.classify(attempt, accepted, wait)


def notify(plugin: NotifyBase, message: Message) -> bool:
    """Hand the plugin the message in its own format, so that Apprise converts nothing."""
    chosen = format_of(plugin)
    body = {NotifyFormat.HTML: message.html, NotifyFormat.MARKDOWN: message.markdown}.get(
        chosen, message.text
    )
    return bool(
        plugin.notify(
            body=body,
            title=message.title,
            notify_type=NotifyType.INFO,
            body_format=chosen,
            body_passthrough=False,  # or Apprise would ask for the formats twice more
        )
    )
