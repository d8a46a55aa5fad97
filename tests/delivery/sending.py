"""Send many messages at once."""

from __future__ import annotations

from collections.abc import Sequence

from soonish.delivery.transports.message import Message
from soonish.delivery.transports.outcome import SendResult
from soonish.delivery.transports.sender import Sender


async def send_many(
    sender: Sender, items: Sequence[tuple[str, Message]], *, start_within: float | None = None
) -> list[SendResult]:
    """Send all (url, message) at once; return the results in the same order."""
    futures = [sender.start(url, message, start_within=start_within) for url, message in items]
    return [await future for future in futures]
