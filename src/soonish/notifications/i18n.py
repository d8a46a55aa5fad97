"""The language of a text: translations, date patterns and plurals by locale."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from gettext import NullTranslations
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.support import Translations

DOMAIN = "soonish"
LOCALES = Path(__file__).parent.parent / "locales"  # <locale>/LC_MESSAGES/soonish.mo
_ENGLISH = Locale("en")


@dataclass(frozen=True)
class Language:
    """A locale with its translations; English is in the code, so a missing catalogue is fine."""

    locale: Locale
    translations: NullTranslations

    def gettext(self, message: str) -> str:
        return self.translations.gettext(message)

    def ngettext(self, one: str, many: str, number: int) -> str:
        return self.translations.ngettext(one, many, number)


@lru_cache(maxsize=64)
def language(locale: str = "en") -> Language:
    """The Language of a locale name like `en`, `de` or `pt-BR`; an unknown one is English."""
    try:
        parsed = Locale.parse(locale, sep="-" if "-" in locale else "_")
    except (ValueError, UnknownLocaleError):
        parsed = _ENGLISH
    return Language(parsed, Translations.load(LOCALES, [str(parsed), parsed.language], DOMAIN))
