"""The sending rate of each kind of channel (docs/architecture.md#channel-health).

The only state is a channel's `not_before`, the earliest instant of its next send, which all
workers share through its row. A Retry-After moves it, and so does every send to a service with a
rate: it is the theoretical arrival time of a GCRA less the burst's tolerance, so that one
comparison covers both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from soonish.kit.rates import Rate, parse_rate

# Chat services, which allow a few messages a minute in each room.
_CHAT = """
    atalk bsky chanify cliq dingtalk discord feishu flock fluxer gchat groupme guilded humhub join
    kakaotalk kook lark line mastodon matrix misskey mmost nctalk onebot qq reddit revolt rocket
    ryver session signal slack spike stackfield synology tgram threema twist viber wechat wecombot
    whapi whatsapp workflow wxteams x zalo zoom zulip
    """
CHAT = frozenset(_CHAT.split())


CHAT_RATE = Rate(timedelta(seconds=10), 3)


class Rates:
    """The rate of each kind of channel, from the entries of the setting CHANNEL_RATES."""

    def __init__(self, entries: Sequence[str] = ()) -> None:
        self._rates: dict[str, Rate | None] = dict.fromkeys(CHAT, CHAT_RATE)
        self._rates |= dict(map(parse_rate, entries))

    def of(self, kind: str) -> Rate | None:
        """Return the rate of this kind; None for no limit."""
        return self._rates.get(kind)
