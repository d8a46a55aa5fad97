"""Whom a message would reach, as the API tells it before anything is sent."""

from __future__ import annotations

from soonish.schemas import Output


class ChannelReachOut(Output):
    """`targets` of one kind of channel, and how many subscriptions have at least one."""

    channel: str
    targets: int
    subscriptions: int


class ReachOut(Output):
    """What a message would reach now: `unreachable` of the `audience` have no working channel."""

    audience: int
    channels: list[ChannelReachOut]
    unreachable: int
