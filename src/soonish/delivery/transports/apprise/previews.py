"""How a message looks where it arrives: Apprise's own cutting and joining, without a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apprise import NotifyFormat, NotifyType
from apprise.plugins.base import NotifyBase
from apprise.plugins.discord import NotifyDiscord

from soonish.delivery.transports.apprise.plugins import force
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.sender import notify

SMS_CHARACTERS = 160  # what Apprise's plugins for text messages take, their title included


@dataclass(frozen=True)
class Shape:
    """Title and body as the service gets them; `is_cut` where it takes no more than that."""

    title: str
    body: str
    is_cut: bool


class _Recorder(NotifyBase):
    """A plugin that keeps what it would send."""

    title = ""
    body = ""

    def send(
        self,
        body: str,
        title: str = "",
        notify_type: NotifyType = NotifyType.INFO,
        **kwargs: Any,
    ) -> bool:
        self.title, self.body = title, body
        return True


class _Chat(_Recorder):
    notify_format = NotifyFormat.MARKDOWN
    title_maxlen = NotifyDiscord.title_maxlen
    body_maxlen = NotifyDiscord.body_maxlen


class _Sms(_Recorder):
    notify_format = NotifyFormat.TEXT
    title_maxlen = 0
    body_maxlen = SMS_CHARACTERS


def as_chat(message: Message) -> Shape:
    """As Discord gets it, whose limits are the narrowest of the widely used chats."""
    return _shape(_Chat(), message, message.markdown)


def as_sms(message: Message) -> Shape:
    """As a text message service gets it: the title is the first line."""
    return _shape(_Sms(), message, message.text)


def _shape(plugin: _Recorder, message: Message, whole: str) -> Shape:
    force(plugin)
    notify(plugin, message)
    kept = plugin.body.rstrip().replace("\r\n", "\n")
    return Shape(plugin.title, kept, is_cut=not kept.endswith(whole.rstrip()))
