"""A message while it is being worded."""

from __future__ import annotations

from dataclasses import dataclass

from soonish.delivery.texts.blocks import Action, Block

TITLE_LIMIT = 240  # characters; a name takes at most NAME_LIMIT of them
NAME_LIMIT = 160


@dataclass(frozen=True)
class Draft:
    """Title, blocks without the action, the action, and the mail's preheader and reason."""

    title: str
    preheader: str
    reason: str
    blocks: tuple[Block, ...]
    action: Action | None
