"""How often a channel may be sent to (DESIGN 8).

A channel's `not_before` is the only state, shared by all workers through its row: the earliest
instant of its next send. A Retry-After moves it, and so does every send to a service with a rate:
it is the theoretical arrival time of a GCRA less the burst's tolerance, so that one comparison
answers for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# Kinds of channels that people chat in: their services allow each room a few messages a minute.
_CHAT = """
    atalk bsky chanify cliq dingtalk discord feishu flock fluxer gchat groupme guilded humhub join
    kakaotalk kook lark line mastodon matrix misskey mmost nctalk onebot qq reddit revolt rocket
    ryver session signal slack spike stackfield synology tgram threema twist viber wechat wecombot
    whapi whatsapp workflow wxteams x zalo zoom zulip
    """
CHAT = frozenset(_CHAT.split())


@dataclass(frozen=True)
class Rate:
    """A message every `interval` in the long run, up to `burst` of them at once."""

    interval: timedelta
    burst: int

    def after_send(self, not_before: datetime | None, now: datetime) -> datetime:
        """`not_before` of a channel that is sent to at `now`, which it allows."""
        full = now - self.interval * (self.burst - 1)
        return (full if not_before is None else max(not_before, full)) + self.interval


CHAT_RATE = Rate(timedelta(seconds=10), 3)


class Rates:
    """The rate of each kind of channel; built from entries of the setting CHANNEL_RATES."""

    def __init__(self, entries: Sequence[str] = ()) -> None:
        self._rates: dict[str, Rate | None] = dict.fromkeys(CHAT, CHAT_RATE)
        self._rates |= dict(map(parse_rate, entries))

    def of(self, kind: str) -> Rate | None:
        """None: as fast as it takes them."""
        return self._rates.get(kind)


def parse_rate(entry: str) -> tuple[str, Rate | None]:
    """`discord=6/3` is six a minute with a burst of three (1 if not said), `json=0` no limit.

    Raises ValueError that names the entry.
    """
    kind, equals, figures = (part.strip() for part in entry.partition("="))
    per_minute, _, burst = figures.partition("/")
    try:
        speed, at_once = float(per_minute), int(burst or 1)
    except ValueError:
        speed, at_once = -1.0, 0
    if not (kind and equals) or not 0 <= speed <= 60_000 or not 1 <= at_once <= 10_000:
        raise ValueError(f"{entry!r} must look like discord=6/3 (messages a minute / burst)")
    if speed == 0:
        return kind.lower(), None
    if speed < 0.01:
        raise ValueError(f"{entry!r} is slower than a message in 100 minutes")
    return kind.lower(), Rate(timedelta(seconds=60 / speed), at_once)
