"""Translations, date patterns and plurals by locale.

English is in the code. Templates and mails translate with `_()`. Code that does not know the
reader's language (an error, a notice) marks its text with this module's `_()`, to be translated
where it is shown. `make messages` collects both into the catalogues.
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
_MAX_PREFERENCES = 20  # languages of one Accept-Language header that are read


class LazyText(str):
    """An English text that can be translated later, as it keeps its msgid and its values."""

    message: str
    values: Mapping[str, object]

    __slots__ = ("message", "values")


def _(message: str, **values: object) -> LazyText:
    """Mark `message` for translation; return it in English, with `%(name)s` filled in."""
    text = LazyText(message % values if values else message)
    text.message, text.values = message, values
    return text


@dataclass(frozen=True)
class Language:
    """A locale with its translations; without a catalogue they are English, as in the code."""

    locale: Locale
    translations: NullTranslations

    def gettext(self, message: str) -> str:
        return self.translations.gettext(message)

    def ngettext(self, one: str, many: str, number: int) -> str:
        return self.translations.ngettext(one, many, number)

    def translate(self, text: str) -> str:
        """Translate a `LazyText`, or any other text that the catalogue has."""
        if isinstance(text, LazyText):
            words = self.gettext(text.message)
            return words % text.values if text.values else words
        return self.gettext(text) if text else text


@lru_cache(maxsize=64)
def language(locale: str = ENGLISH) -> Language:
    """Return the Language of a locale such as `en`, `de` or `pt-BR`; English if it is unknown."""
    try:
        parsed = Locale.parse(locale, sep="-" if "-" in locale else "_")
    except (ValueError, UnknownLocaleError):
        parsed = Locale(ENGLISH)
    return Language(parsed, Translations.load(LOCALES, [str(parsed), parsed.language], DOMAIN))


@cache
def available_languages() -> tuple[str, ...]:
    """Return the available languages: English, and each with a compiled catalogue."""
    found = (path.parent.parent.name for path in LOCALES.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"))
    return (ENGLISH, *sorted(name.replace("_", "-") for name in found))


def languages(chosen: str = "") -> list[tuple[str, str]]:
    """Return (tag, its own name) of each available language, and of `chosen` if it is another."""
    tags = [
        *available_languages(),
        *([chosen] if chosen and chosen not in available_languages() else []),
    ]
    return [(tag, _own_name(tag)) for tag in tags]


def _own_name(tag: str) -> str:
    name = language(tag).locale.get_display_name() or tag
    return name[:1].upper() + name[1:]


@lru_cache(maxsize=256)
def best_language(locale: str | None) -> str:
    """Return the available language nearest to a profile's `locale`, English if there is none.

    A notification is thus rendered once for each available language, never more often.
    """
    return _nearest([locale] if locale else []) or ENGLISH


def browser_language(accept_language: str) -> str | None:
    """Return the available language that an Accept-Language header prefers (RFC 9110, 12.5.4).

    None if it names no available one.
    """
    preferences = [_preference(part) for part in accept_language.split(",")[:_MAX_PREFERENCES]]
    wanted = sorted((one for one in preferences if one[0] > 0), key=lambda one: -one[0])
    return _nearest(tag for _, tag in wanted)


def _nearest(tags: Iterable[str]) -> str | None:
    wanted = [tag.replace("_", "-") for tag in tags]
    return negotiate_locale(wanted, available_languages(), sep="-")


def _preference(part: str) -> tuple[float, str]:
    """Read `de-DE;q=0.8` as (0.8, "de-DE"); an invalid part has weight 0."""
    tag, _, rest = part.partition(";")
    weight = rest.strip().removeprefix("q=") if rest.strip() else "1"
    try:
        return float(weight), tag.strip()
    except ValueError:
        return 0.0, ""
