"""A message as every channel can show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """The same content in the forms channels ask for; `message_id` is stable over retries."""

    title: str
    text: str  # plain text, no markup
    markdown: str
    html: str  # a fragment, safe to show
    message_id: str = ""
