"""A message as a short list of blocks, and its forms for chats: text, Markdown, simple HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup, escape

from soonish.delivery.texts.markdown import markdown_to_text, render_markdown
from soonish.delivery.texts.safe_text import clean_text, defuse

_ADDRESS = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.[^\s@<>\"'.]+")
_WEB = re.compile(r"https?://[^\s<>\"'{}]+")
_WEB_PART = re.compile(r"(https?://[^\s<>\"'{}]+)")
_HEADING = re.compile(r"^(\s*)(#|[=-]+\s*$)", re.MULTILINE)
_LINE_END = re.compile(r"(?<=\S)\n(?=\S)")
_MARKUP = re.compile(r"([\\`*_\[\]<>~|])")


@dataclass(frozen=True)
class Paragraph:
    """Plain text, already harmless; may have several lines."""

    text: str
    heading: str = ""


@dataclass(frozen=True)
class Rows:
    """Label and value pairs: when, where, who."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ChangeRows:
    """What changed: label, old and new value in words."""

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


def link_target(value: str) -> str | None:
    """The href for a value that is as a whole an email or web address, else None."""
    if _ADDRESS.fullmatch(value):
        return "mailto:" + quote(value, safe="@+")
    return value if _WEB.fullmatch(value) else None


def to_text(blocks: Sequence[Block]) -> str:
    """Plain text, blocks apart by an empty line, no markup of ours."""
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
    """CommonMark that chat services show well; values are escaped, addresses stand bare."""
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
    """Backslashes before marks, except in web addresses: a chat would take them as a part."""
    pieces = _WEB_PART.split(value)
    return "".join(
        piece if index % 2 else _MARKUP.sub(r"\\\1", piece) for index, piece in enumerate(pieces)
    )


def _escape_lines(value: str) -> str:
    """Also keep a line from becoming a heading, and keep the line ends."""
    return _LINE_END.sub("  \n", _HEADING.sub(r"\1\\\2", _escape(value)))


def to_html(blocks: Sequence[Block]) -> str:
    """A fragment of simple tags (p, b, br, s, a), as chat services take them."""
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
            # The address is written out: Apprise drops hrefs where it turns HTML into text.
            return Markup('<p>{}: <a href="{}">{}</a></p>').format(label, url, url)


def with_breaks(value: str) -> Markup:
    """`value` escaped, its line ends as <br>."""
    return Markup("<br>").join(escape(line) for line in value.split("\n"))


def linked(value: str) -> Markup:
    """`value` escaped, and a link where it is an address as a whole."""
    target = link_target(value)
    if target is None:
        return with_breaks(value)
    return Markup('<a href="{}" rel="nofollow noopener">{}</a>').format(target, value)
