"""Make users' text harmless in titles, templates with slots, and chats."""

from __future__ import annotations

import re
import unicodedata

JOINER = "\u2060"  # word joiner: invisible, no line break
# Overrides and isolates would reverse the text after a name.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BREAKS = re.compile("\r\n|[\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
# `{{unsubscribe_url}}` in an organizer's link would send every reader's token to the organizer,
# and an unknown slot would make the mail invalid (transports/mail/mime.py).
_SLOT = re.compile(r"\{(?=\{\s*\w+\s*\}\})")
# @everyone calls a whole Discord server, <!channel> a Slack channel; info@here.com may stay.
_MENTION = re.compile(
    r"""
    ( (?<![\w.+/-]) @ (?=(?:everyone|here|channel|all)(?![A-Za-z0-9]))
    | (?<=[\w.+-]) @ (?=(?:everyone|here|channel|all)(?![A-Za-z0-9])(?![\w-]*\.\w))
    | ! (?=(?:everyone|here|channel)(?![A-Za-z0-9])) )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def clean_text(text: str) -> str:
    """Normalize line ends to `\\n`; remove control characters, surrogates and overrides."""
    return "".join(c for c in _BREAKS.sub("\n", text) if c in "\n\t" or not _is_harmful(c))


def _is_harmful(char: str) -> bool:
    return char in _BIDI_CONTROLS or unicodedata.category(char) in ("Cc", "Cs")


def defuse(text: str) -> str:
    """Break slots and mass mentions with an invisible character."""
    return _MENTION.sub(rf"\g<0>{JOINER}", _SLOT.sub("{" + JOINER, text))


def one_line(text: str | None, limit: int = 1000) -> str:
    """Return `text` as a single harmless line of at most `limit` characters."""
    return defuse(shorten(" ".join(clean_text(text or "").split()), limit))


def paragraph(text: str | None, limit: int = 1000) -> str:
    """Return `text` as harmless lines of `limit` characters in all, without double empty lines."""
    lines = "\n".join(line.strip() for line in clean_text(text or "").split("\n"))
    return defuse(shorten(re.sub(r"\n{3,}", "\n\n", lines).strip(), limit))


def shorten(text: str, limit: int) -> str:
    """Cut `text` to `limit` characters with an ellipsis, between words if that costs little."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    at_word = max(head.rfind(" "), head.rfind("\n"))
    return (head[:at_word] if at_word > limit * 0.7 else head).rstrip() + "…"
