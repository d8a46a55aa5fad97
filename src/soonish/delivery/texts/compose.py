"""Compose every message that Soonish sends: from a Content to title, text, Markdown and HTML.

Pure: no clock, no database, no network. The sentences are in `events` and `accounts`; all of
them go through gettext (`i18n`), with English in the code.
"""

from __future__ import annotations

from dataclasses import dataclass

from soonish.delivery.texts.accounts import ACCOUNT_KINDS, account_draft
from soonish.delivery.texts.blocks import (
    TITLE_LIMIT,
    Action,
    Block,
    Draft,
    to_html,
    to_markdown,
    to_text,
)
from soonish.delivery.texts.content import Content
from soonish.delivery.texts.events import EVENT_KINDS, event_draft
from soonish.delivery.texts.humanize import date_in_words, describe_changes, duration_in_words
from soonish.delivery.texts.safe_text import one_line
from soonish.i18n import language

__all__ = [
    "ACCOUNT_KINDS",
    "EVENT_KINDS",
    "Composed",
    "compose",
    "date_in_words",
    "describe_changes",
    "duration_in_words",
]


@dataclass(frozen=True)
class Composed:
    """A message in every format. `title` is one plain line, `html` a safe fragment of simple tags.

    `text`, `markdown` and `html` end with the action's link. The mail's layout is built from
    `blocks`, and `reason` is its "why you get this". `action_url` may be the slot
    `{{action_url}}`, which is then in the three formats too.
    """

    title: str
    text: str
    markdown: str
    html: str
    preheader: str
    action_label: str | None
    action_url: str | None
    reason: str = ""
    blocks: tuple[Block, ...] = ()


def compose(content: Content, locale: str = "en") -> Composed:
    """Compose `content` in `locale`, or in English if the locale is unknown.

    Raises ValueError for an unknown kind, or a kind of an event without facts.
    """
    draft = _draft(content, locale)
    action = draft.action
    blocks = (*draft.blocks, action) if action else draft.blocks
    return Composed(
        title=one_line(draft.title, TITLE_LIMIT),
        text=to_text(blocks),
        markdown=to_markdown(blocks),
        html=to_html(blocks),
        preheader=one_line(draft.preheader, 140),
        action_label=action.label if isinstance(action, Action) else None,
        action_url=action.url if isinstance(action, Action) else None,
        reason=draft.reason,
        blocks=draft.blocks,
    )


def _draft(content: Content, locale: str) -> Draft:
    t = language(locale)
    if content.kind in ACCOUNT_KINDS:
        return account_draft(content, t)
    if content.kind not in EVENT_KINDS:
        raise ValueError(f"unknown kind of message: {content.kind!r}")
    if content.facts is None:
        raise ValueError(f"{content.kind} needs the facts of its event")
    return event_draft(content, content.facts, t)
