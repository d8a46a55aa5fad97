"""Preview a message as a service gets it: Apprise's truncating and joining, without a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apprise import NotifyFormat, NotifyType
from apprise.plugins.base import NotifyBase
from apprise.plugins.discord import NotifyDiscord

from soonish.delivery.transports.apprise.plugins import force
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.sender import notify

SMS_CHARACTERS = 160  # the limit of Apprise's plugins for text messages, including the title


@dataclass(frozen=True)
class ChannelPreview:
    """Title and body as the service gets them; `is_cut` if they were truncated."""

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


def as_chat(message: Message) -> ChannelPreview:
    """Preview for Discord, whose limits are the tightest of the widely used chats."""
    return _preview(_Chat(), message, message.markdown)


def as_sms(message: Message) -> ChannelPreview:
    """Preview for a text message service: the title becomes the first line."""
    return _preview(_Sms(), message, message.text)


def _preview(plugin: _Recorder, message: Message, whole: str) -> ChannelPreview:
    force(plugin)
    notify(plugin, message)
    kept = plugin.body.rstrip().replace("\r\n", "\n")
    return ChannelPreview(plugin.title, kept, is_cut=not kept.endswith(whole.rstrip()))
