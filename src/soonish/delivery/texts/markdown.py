"""Render users' Markdown as safe HTML and as plain text, for messages and pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.linkify import linkify
from markdown_it.token import Token

from soonish.delivery.texts.safe_text import clean_text, defuse, shorten

MAX_CHARACTERS = 50_000  # cut longer texts: nobody reads them, and rendering takes time
_TAGS = {
    *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote"),
    *("ul", "ol", "li", "a", "h3", "h4", "h5", "h6"),
}
_ATTRIBUTES: dict[str, set[str]] = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto", "tel"}
_SCHEME_PLACE = 16  # characters before a `://`: its scheme and the end of the word before


@lru_cache(maxsize=128)  # a page that many look at
def render_markdown(text: str | None) -> str:
    """Render `text` as an HTML fragment that is safe to show.

    HTML in it is shown as typed, images become links (nothing is loaded from elsewhere),
    headings start at h3, and links have rel="nofollow noopener".
    """
    html = _parser().render(_prepare(text))
    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="nofollow noopener",
    )
    return defuse(clean).strip()


def markdown_to_text(text: str | None) -> str:
    """Render `text` as in a plain mail: no markup, `label (address)` for links."""
    lines = _block_lines(_parser().parse(_prepare(text)))
    return defuse("\n".join(lines).strip())


def _prepare(text: str | None) -> str:
    return shorten(clean_text(text or ""), MAX_CHARACTERS)


@cache
def _parser() -> MarkdownIt:
    options = {"html": False, "linkify": True, "breaks": True}
    parser = MarkdownIt("commonmark", options).enable(["strikethrough", "linkify"])
    assert parser.linkify is not None  # noqa: S101 - the extra `linkify` is a dependency # nosec B101
    parser.linkify.set({"fuzzy_link": False})  # README.md is a file name, not an address
    parser.inline.ruler.at("linkify", _linkify)
    parser.core.ruler.push("lower_headings", lambda state: _lower_headings(state.tokens))
    parser.add_render_rule("image", _image_as_link)
    return parser


def _linkify(state: StateInline, silent: bool) -> bool:
    """Apply the library's rule for `https://...` to the end of the pending text only.

    The rule searches all text before each `://` for the scheme, so that one text full of them
    would keep a process busy for seconds.
    """
    before, state.pending = state.pending[:-_SCHEME_PLACE], state.pending[-_SCHEME_PLACE:]
    if silent:
        found = linkify(state, silent)
        state.pending = before + state.pending
        return found
    if before:
        after, state.pending = state.pending, before
        state.pushPending()
        state.pending = after
    return linkify(state, silent)


def _lower_headings(tokens: Sequence[Token]) -> None:
    """Start headings at h3: h1 and h2 belong to the page around the text."""
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"


def _image_as_link(self: Any, tokens: Sequence[Token], index: int, *_: Any) -> str:
    source = str(tokens[index].attrGet("src") or "")
    return f'<a href="{escape(source)}">{escape(tokens[index].content or source)}</a>'


def _block_lines(tokens: Sequence[Token]) -> list[str]:
    """Walk the block tokens; `prefixes` has the text that each open list or quote puts first."""
    lines: list[str] = []
    prefixes: list[str] = []
    numbers: list[int] = []
    for token in tokens:
        match token.type:
            case "bullet_list_open" | "ordered_list_open":
                numbers.append(int(token.attrGet("start") or 1) if token.tag == "ol" else 0)
            case "bullet_list_close" | "ordered_list_close":
                numbers.pop()
                _gap(lines, prefixes)
            case "list_item_open":
                prefixes.append(_item_marker(numbers))
            case "blockquote_open":
                prefixes.append("> ")
            case "list_item_close":
                prefixes.pop()
            case "blockquote_close":
                prefixes.pop()
                _drop_gap(lines)
                _gap(lines, prefixes)
            case "inline":
                _add_lines(lines, prefixes, "".join(_inline_text(token.children or [])))
            case "fence" | "code_block" | "hr":
                _add_lines(lines, prefixes, token.content.rstrip("\n") or "---")
                _gap(lines, prefixes)
            case "paragraph_close" | "heading_close" if not token.hidden:
                _gap(lines, prefixes)
            case _:
                pass
    return lines


def _item_marker(numbers: list[int]) -> str:
    if not numbers[-1]:
        return "- "
    numbers[-1] += 1
    return f"{numbers[-1] - 1}. "


def _gap(lines: list[str], prefixes: list[str]) -> None:
    if lines and lines[-1].strip("> "):
        lines.append("".join(p if p == "> " else "" for p in prefixes).rstrip())


def _drop_gap(lines: list[str]) -> None:
    while lines and not lines[-1].strip("> "):
        lines.pop()


def _add_lines(lines: list[str], prefixes: list[str], text: str) -> None:
    """Put a list's marker before its first line only, and indent the lines after it."""
    for line in text.split("\n"):
        lines.append(("".join(prefixes) + line).rstrip())
        prefixes[:] = [p if p == "> " else " " * len(p) for p in prefixes]


def _inline_text(tokens: Sequence[Token]) -> Iterator[str]:
    target, label = "", ""
    for token in tokens:
        match token.type:
            case "softbreak" | "hardbreak":
                piece = "\n"
            case "link_open":
                target, label, piece = str(token.attrGet("href") or ""), "", ""
            case "link_close":
                shown = {label, f"mailto:{label}", f"tel:{label}"}
                piece = "" if target in shown else f" ({target})"
            case "image":
                piece = f"{token.content} ({token.attrGet('src')})"
            case _:
                piece = token.content
        label += piece
        yield piece
