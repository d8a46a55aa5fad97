"""A message as a list of blocks, and its rendering for chats: text, Markdown, simple HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup, escape

from soonish.delivery.texts.markdown import markdown_to_text, render_markdown
from soonish.delivery.texts.safe_text import clean_text, defuse

TITLE_LIMIT = 240  # characters; a name takes at most NAME_LIMIT of them
NAME_LIMIT = 160
_ADDRESS = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.[^\s@<>\"'.]+")
_WEB = re.compile(r"https?://[^\s<>\"'{}]+")
_WEB_PART = re.compile(r"(https?://[^\s<>\"'{}]+)")
_HEADING = re.compile(r"^(\s*)(#|[=-]+\s*$)", re.MULTILINE)
_LINE_END = re.compile(r"(?<=\S)\n(?=\S)")
_MARKUP = re.compile(r"([\\`*_\[\]<>~|])")


@dataclass(frozen=True)
class Paragraph:
    """Plain text of one or more lines, already made harmless."""

    text: str
    heading: str = ""


@dataclass(frozen=True)
class Rows:
    """Label and value pairs: when, where, who."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ChangeRows:
    """Changed fields: label, old and new value in words."""

    rows: tuple[tuple[str, str, str], ...]
    old_label: str
    new_label: str


@dataclass(frozen=True)
class MarkdownText:
    """An organizer's own Markdown, raw."""

    source: str


@dataclass(frozen=True)
class Action:
    """The one button; `url` is ours, or a slot that stays as it is."""

    label: str
    url: str


Block = Paragraph | Rows | ChangeRows | MarkdownText | Action


@dataclass(frozen=True)
class Draft:
    """Title, blocks without the action, the action, and the mail's preheader and reason."""

    title: str
    preheader: str
    reason: str
    blocks: tuple[Block, ...]
    action: Action | None


def link_target(value: str) -> str | None:
    """Return the href for a value that is an email or web address as a whole, else None."""
    if _ADDRESS.fullmatch(value):
        return "mailto:" + quote(value, safe="@+")
    return value if _WEB.fullmatch(value) else None


def to_text(blocks: Sequence[Block]) -> str:
    """Render plain text without markup, with an empty line between blocks."""
    return "\n\n".join(filter(None, map(_block_text, blocks)))


def _block_text(block: Block) -> str:
    match block:
        case Paragraph(text, heading):
            return f"{heading}\n{text}" if heading else text
        case Rows(rows):
            return "\n".join(f"{label}: {value}" for label, value in rows)
        case ChangeRows(rows, old_label, new_label):
            return "\n".join(
                f"{label}\n  {old_label}: {_indent(old)}\n  {new_label}: {_indent(new)}"
                for label, old, new in rows
            )
        case MarkdownText(source):
            return markdown_to_text(source)
        case Action(label, url):
            return f"{label}: {url}"


def _indent(value: str) -> str:
    return value.replace("\n", "\n    ")


def to_markdown(blocks: Sequence[Block]) -> str:
    """Render CommonMark that chat services show well, with escaped values and bare addresses."""
    return "\n\n".join(filter(None, map(_block_markdown, blocks)))


def _block_markdown(block: Block) -> str:
    match block:
        case Paragraph(text, heading):
            return (f"**{_escape(heading)}**  \n" if heading else "") + _escape_lines(text)
        case Rows(rows):
            return "  \n".join(f"**{_escape(label)}:** {_escape(value)}" for label, value in rows)
        case ChangeRows(rows, old_label, new_label):
            return "\n\n".join(
                f"**{_escape(label)}**  \n{old_label}: {_escape_lines(old)}  \n"
                f"{new_label}: {_escape_lines(new)}"
                for label, old, new in rows
            )
        case MarkdownText(source):
            return defuse(clean_text(source)).strip()
        case Action(label, url):
            return f"{_escape(label)}: {url}"


def _escape(value: str) -> str:
    """Escape markup, except in web addresses, where chats would keep the backslashes."""
    pieces = _WEB_PART.split(value)
    return "".join(
        piece if index % 2 else _MARKUP.sub(r"\\\1", piece) for index, piece in enumerate(pieces)
    )


def _escape_lines(value: str) -> str:
    """Escape markup and headings, and keep line ends."""
    return _LINE_END.sub("  \n", _HEADING.sub(r"\1\\\2", _escape(value)))


def to_html(blocks: Sequence[Block]) -> str:
    """Render a fragment of the simple tags that chat services accept (p, b, br, s, a)."""
    return "\n".join(filter(None, map(_block_html, blocks)))


def _block_html(block: Block) -> str:
    match block:
        case Paragraph(text, heading):
            head = Markup("<b>{}</b><br>").format(heading) if heading else ""
            return f"<p>{head}{with_breaks(text)}</p>"
        case Rows(rows):
            lines = (Markup("<b>{}:</b> {}").format(a, linked(b)) for a, b in rows)
            return f"<p>{'<br>'.join(lines)}</p>"
        case ChangeRows(rows, old_label, new_label):
            form = Markup("<p><b>{}</b><br>{}: <s>{}</s><br>{}: {}</p>")
            return "\n".join(
                form.format(label, old_label, with_breaks(old), new_label, with_breaks(new))
                for label, old, new in rows
            )
        case MarkdownText(source):
            return render_markdown(source)
        case Action(label, url):
            # Write out the address: Apprise drops hrefs when it turns HTML into text.
            return Markup('<p>{}: <a href="{}">{}</a></p>').format(label, url, url)


def with_breaks(value: str) -> Markup:
    """Escape `value` and turn line ends into <br>."""
    return Markup("<br>").join(escape(line) for line in value.split("\n"))


def linked(value: str) -> Markup:
    """Escape `value`, and link it if it is an address as a whole."""
    target = link_target(value)
    if target is None:
        return with_breaks(value)
    return Markup('<a href="{}" rel="nofollow noopener">{}</a>').format(target, value)
