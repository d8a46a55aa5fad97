"""Lay out a mail: an HTML document and a plain text, with the links that every mail has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from soonish.delivery.texts.blocks import Block, linked, with_breaks
from soonish.delivery.texts.compose import Composed
from soonish.delivery.texts.markdown import render_markdown
from soonish.i18n import language

_LINE_BYTES = 900
_UNFINISHED = re.compile(r"(&[#\w]{0,10}|\{\{?\w{0,40}\}?|</?\w{0,12})\Z")


def mail_document(
    composed: Composed,
    *,
    base_url: str,
    unsubscribe_slot: str | None = "{{unsubscribe_url}}",
    manage_slot: str | None = "{{manage_url}}",
    locale: str = "en",
) -> tuple[str, str]:
    """Return (text, html) of the mail; its subject is `composed.title`.

    A slot (also `{{action_url}}`, if the action has no address yet) is in both parts exactly as
    given, to be replaced by an address per recipient; None leaves its link out.
    """
    values = {
        "composed": composed,
        "base_url": base_url,
        "unsubscribe": unsubscribe_slot,
        "manage": manage_slot,
        "lang": str(language(locale).locale).replace("_", "-"),
        "direction": language(locale).locale.text_direction,
        "_": language(locale).gettext,
    }
    text = _environment().get_template("mail.txt.jinja").render(values)
    html = _environment().get_template("mail.html.jinja").render(values)
    return fold_lines(text), fold_lines(html)


def fold_lines(text: str) -> str:
    """Fold lines over 900 bytes of UTF-8 (RFC 5322 allows 998 in a mail).

    Lines break at a space if possible, and never inside a slot, an entity or a tag's name.
    """
    lines = text.split("\n")
    if all(len(line) * 4 <= _LINE_BYTES for line in lines):
        return text
    return "\n".join(piece for line in lines for piece in _fold(line))


def _fold(line: str) -> Iterator[str]:
    while len(line.encode()) > _LINE_BYTES:
        head = line.encode()[:_LINE_BYTES].decode(errors="ignore")
        space = head.rfind(" ")
        if space > _LINE_BYTES // 8:
            yield head[:space]
            line = line[space + 1 :]
        else:
            open_end = _UNFINISHED.search(head)
            cut = open_end.start() if open_end else len(head)
            yield head[:cut]
            line = line[cut:]
    yield line


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("soonish.delivery.texts"),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        breaks=with_breaks,
        linked=linked,
        markdown=_markdown,
        kind=_kind,
    )
    return environment


def _markdown(source: str) -> Markup:
    return Markup(render_markdown(source))  # noqa: S704 - cleaned by nh3


def _kind(block: Block) -> str:
    return type(block).__name__
