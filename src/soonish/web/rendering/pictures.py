"""Pictures for an event's link: its preview in chats, and its QR code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO

import segno
from markupsafe import Markup
from PIL import Image, ImageDraw, ImageFont

from soonish.web.rendering.assets import FOLDER, manifest

WIDTH, HEIGHT = 1200, 630  # as Open Graph recommends
_MARGIN = 84
_WHITE = (255, 255, 255)
_PALE = (255, 255, 255, 225)
# background, its lighter shapes, the sun: as .cover-0 to .cover-5 in app.css
_COVERS = (
    ("#4a35c4", "#6a55e0", "#f5a524"),
    ("#0f6b5c", "#17897a", "#f7c65b"),
    ("#b03a2e", "#cf5642", "#f9d27a"),
    ("#1d4f91", "#2f6cb8", "#f28f5b"),
    ("#7a2e6b", "#9a4689", "#f5b841"),
    ("#8a5310", "#ab701f", "#ffe0a3"),
)


@dataclass(frozen=True)
class Preview:
    """The content of a preview: a name, lines below it, and a cover (formats.cover)."""

    name: str
    lines: tuple[str, ...]
    cover: int = 0


@lru_cache(maxsize=128)
def preview_png(preview: Preview) -> bytes:
    """Return the picture as PNG, 1200 x 630; some 40 ms the first time.

    Characters missing from the font (emoji, other scripts) are left out. A name that would lose too
    many is replaced by a large first line: the link's title has the name.
    """
    ground, shape, sun = _COVERS[preview.cover]
    picture = Image.new("RGB", (WIDTH, HEIGHT), ground)
    draw = ImageDraw.Draw(picture, "RGBA")
    draw.ellipse((-260, 330, 560, 1150), fill=shape)
    draw.ellipse((560, -560, 1120, 60), fill=shape)
    draw.ellipse((930, 50, 1110, 230), fill=sun)
    _write(draw, preview)
    out = BytesIO()
    picture.quantize(128, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def _write(draw: ImageDraw.ImageDraw, preview: Preview) -> None:
    draw.text((_MARGIN, 64), "Soonish", font=_font(40), fill=_PALE)
    bottom, lines = HEIGHT - 72, preview.lines
    name = _known(preview.name)
    if not name and lines:
        name, lines = _known(lines[0]), lines[1:]
    for line in reversed(lines):
        font = _font(36)
        bottom -= 52
        draw.text((_MARGIN, bottom), _fitting(_known(line), font), font=font, fill=_PALE)
    size, rows = _name_rows(name)
    step = int(size * 1.12)
    top = bottom - 36 - step * len(rows)
    for index, row in enumerate(rows):
        draw.text((_MARGIN, top + index * step), row, font=_font(size), fill=_WHITE)


def _name_rows(name: str) -> tuple[int, list[str]]:
    """Return the largest font size at which the name fits in three rows, and the rows."""
    for size in (96, 84, 72, 60):
        rows = list(_wrapped(name, _font(size)))
        if len(rows) <= 3:
            return size, rows
    rows = list(_wrapped(name, _font(60)))[:3]
    return 60, [*rows[:2], f"{rows[2].rstrip()}…"]


def _wrapped(text: str, font: ImageFont.FreeTypeFont) -> Iterator[str]:
    row = ""
    for word in text.split():
        longer = f"{row} {word}".strip()
        if row and font.getlength(longer) > WIDTH - 2 * _MARGIN:
            yield row
            longer = word
        row = _fitting(longer, font)
    if row:
        yield row


def _fitting(text: str, font: ImageFont.FreeTypeFont) -> str:
    if font.getlength(text) <= WIDTH - 2 * _MARGIN:
        return text
    while text and font.getlength(f"{text}…") > WIDTH - 2 * _MARGIN:
        text = text[:-1]
    return f"{text}…"


def _known(text: str) -> str:
    """Return `text` without characters the font lacks; empty if less than three in four remain."""
    letters = [letter for letter in text if not letter.isspace()]
    known = [letter for letter in letters if _has(letter)]
    if len(known) * 4 < len(letters) * 3:
        return ""
    return " ".join("".join(x for x in text if x.isspace() or _has(x)).split())


@lru_cache(maxsize=4096)
def _has(letter: str) -> bool:
    return _drawn(letter) != _drawn("\U0010fffe")  # a character that no font has


def _drawn(letter: str) -> bytes:
    picture = Image.new("L", (72, 64))
    ImageDraw.Draw(picture).text((8, 8), letter, font=_font(36), fill=255)
    return picture.tobytes()


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FOLDER / manifest()["heading.ttf"]), size)


@lru_cache(maxsize=512)
def qr_svg(url: str) -> bytes:
    """Return a QR code (ISO 18004, level M) as a printable file with its quiet zone."""
    out = BytesIO()
    segno.make_qr(url, error="m").save(out, kind="svg", scale=10, border=4, light="#fff", title=url)
    return out.getvalue()


@lru_cache(maxsize=512)
def qr_inline(url: str) -> Markup:
    """Return the QR code to embed in a page."""
    svg = segno.make_qr(url, error="m").svg_inline(border=4, omitsize=True, svgclass="qr")
    return Markup(svg)  # noqa: S704 - segno writes numbers, not the address
