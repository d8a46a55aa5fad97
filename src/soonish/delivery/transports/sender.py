"""Send one message to one target through Apprise, and classify its outcome and 9).

See docs/architecture.md#ledger.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog
from apprise import NotifyFormat, NotifyType
from apprise.plugins.base import NotifyBase

from soonish.config import Settings
from soonish.delivery.transports import classify
from soonish.delivery.transports.apprise.cache import host_key, instantiate
from soonish.delivery.transports.apprise.plugins import WaitRequested, format_of
from soonish.delivery.transports.apprise.schemes import WEBHOOKS
from soonish.delivery.transports.attempt import Attempt, running
from soonish.delivery.transports.classify import NOT_STARTED
from soonish.delivery.transports.egress import install
from soonish.delivery.transports.http.connections import connections
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.delivery.transports.threads import FairThreadPool, ResultQueue, ResultQueues
from soonish.errors import InvalidInput
from soonish.i18n import _

DEFAULT_THREADS: Final = 512  # an upper limit: threads are added while the process is idle

log = structlog.get_logger(__name__)


class Sender:
    """Sends from its own pool of at most `threads` threads.

    One destination (host, or hosted service) uses a quarter of them at most.
    """

    def __init__(self, settings: Settings, threads: int = DEFAULT_THREADS) -> None:
        install.install(settings)
        self._settings = settings
        self._threads = FairThreadPool("delivery", threads)
        self._result_queues = ResultQueues()
        self._closing = False

    async def send(
        self, url: str, message: Message, *, start_within: float | None = None
    ) -> SendResult:
        """Make one attempt, which ends within 15 s of its start.

        If it cannot start within `start_within` seconds, nothing is sent and the result is
        NOT_STARTED. Raises only CancelledError, which does not stop an attempt that has started.
        """
        return await self.start(url, message, start_within=start_within)

    def start(
        self, url: str, message: Message, *, start_within: float | None = None
    ) -> asyncio.Future[SendResult]:
        """Start an attempt as `send` does; it goes on whether or not the future is awaited."""
        loop, results = self._result_queues.current()
        future: asyncio.Future[SendResult] = loop.create_future()
        late = None if start_within is None else time.monotonic() + start_within

        def job() -> None:
            self._run(url, message, late, future, results)

        if not self._threads.submit(host_key(url), job):
            future.set_result(NOT_STARTED)
        return future

    def close(self, patience: float = 15.0) -> None:
        """Wait for attempts in flight, then close threads and connections.

        Blocks at most `patience` seconds; an attempt still in flight then ends with the process.
        Messages that have not started are not sent: their result is NOT_STARTED.
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
        results: ResultQueue,
    ) -> None:
        if future.cancelled():
            return
        if self._closing or (late is not None and time.monotonic() > late):
            results.post(future, NOT_STARTED)
            return
        try:
            result = self._attempt(url, message)
        except BaseException as error:
            # A plugin may raise anything, with secrets in its text; return a result anyway.
            log.error("delivery_error", error=type(error).__name__)
            result = SendResult(Outcome.UNKNOWN, _("The delivery failed inside the plugin"))
        results.post(future, result)

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
            except WaitRequested as asked:
                wait = asked.seconds
            except Exception as error:  # the attempt knows more than the exception's text
                log.warning("plugin_error", service=plugin.schema, error=type(error).__name__)
        return classify.classify(attempt, accepted, wait)


def notify(plugin: NotifyBase, message: Message) -> bool:
    """Pass the message to the plugin in its own format, so that Apprise converts nothing."""
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
