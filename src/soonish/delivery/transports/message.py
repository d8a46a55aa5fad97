"""A message in the formats that channels can show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """The same content in each format; retries keep the `message_id`."""

    title: str
    text: str  # plain text, no markup
    markdown: str
    html: str  # a fragment, safe to show
    message_id: str = ""
