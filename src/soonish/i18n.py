"""The language of a text: translations, date patterns and plurals by locale.

English is in the code. Templates and mails translate with `_()`; a text that code makes for
somebody whose language it does not know (an error, a notice) is marked with this module's `_()`
and translated where it is shown. `make messages` collects both into the catalogues.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from gettext import NullTranslations
from pathlib import Path

from babel import Locale, UnknownLocaleError, negotiate_locale
from babel.support import Translations

DOMAIN = "soonish"
LOCALES = Path(__file__).parent / "locales"  # <locale>/LC_MESSAGES/soonish.mo
ENGLISH = "en"
_MOST_WISHES = 20  # languages of one browser that are looked at


class LazyText(str):
    """An English text that knows how to be said in another language: its msgid and its values."""

    message: str
    values: Mapping[str, object]

    __slots__ = ("message", "values")


def _(message: str, **values: object) -> LazyText:
    """`message` in English, with `%(name)s` filled in; readers get it by `Language.translate`."""
    said = LazyText(message % values if values else message)
    said.message, said.values = message, values
    return said


@dataclass(frozen=True)
class Language:
    """A locale with its translations; English is in the code, so a missing catalogue is fine."""

    locale: Locale
    translations: NullTranslations

    def gettext(self, message: str) -> str:
        return self.translations.gettext(message)

    def ngettext(self, one: str, many: str, number: int) -> str:
        return self.translations.ngettext(one, many, number)

    def translate(self, text: str) -> str:
        """What a `LazyText` says, and any other text that a catalogue has, in this language."""
        if isinstance(text, LazyText):
            words = self.gettext(text.message)
            return words % text.values if text.values else words
        return self.gettext(text) if text else text


@lru_cache(maxsize=64)
def language(locale: str = ENGLISH) -> Language:
    """The Language of a locale name like `en`, `de` or `pt-BR`; an unknown one is English."""
    try:
        parsed = Locale.parse(locale, sep="-" if "-" in locale else "_")
    except (ValueError, UnknownLocaleError):
        parsed = Locale(ENGLISH)
    return Language(parsed, Translations.load(LOCALES, [str(parsed), parsed.language], DOMAIN))


@cache
def offered() -> tuple[str, ...]:
    """The languages that Soonish speaks: English, and each with a compiled catalogue."""
    found = (path.parent.parent.name for path in LOCALES.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"))
    return (ENGLISH, *sorted(name.replace("_", "-") for name in found))


def languages(chosen: str = "") -> list[tuple[str, str]]:
    """(tag, the language's own name) of what is offered, and of `chosen` if it is another one."""
    tags = [*offered(), *([chosen] if chosen and chosen not in offered() else [])]
    return [(tag, _own_name(tag)) for tag in tags]


def _own_name(tag: str) -> str:
    name = language(tag).locale.get_display_name() or tag
    return name[:1].upper() + name[1:]


@lru_cache(maxsize=256)
def served(locale: str | None) -> str:
    """The offered language nearest to a profile's `locale`; English where there is none.

    So a notification is rendered once for each language that Soonish speaks, never more often.
    """
    return _nearest([locale] if locale else []) or ENGLISH


def accepted(accept_language: str) -> str | None:
    """The offered language that a browser likes best (RFC 9110, 12.5.4); None where it names none
    of them."""
    wishes = [_wish(part) for part in accept_language.split(",")[:_MOST_WISHES]]
    liked = sorted((w for w in wishes if w[0] > 0), key=lambda wish: -wish[0])
    return _nearest(tag for _, tag in liked)


def _nearest(tags: Iterable[str]) -> str | None:
    wanted = [tag.replace("_", "-") for tag in tags]
    return negotiate_locale(wanted, offered(), sep="-")


def _wish(part: str) -> tuple[float, str]:
    """`de-DE;q=0.8` as (0.8, "de-DE"); what cannot be read weighs nothing."""
    tag, _, rest = part.partition(";")
    weight = rest.strip().removeprefix("q=") if rest.strip() else "1"
    try:
        return float(weight), tag.strip()
    except ValueError:
        return 0.0, ""
