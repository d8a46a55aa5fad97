"""Which language somebody gets, and texts that are translated where they are shown."""

from __future__ import annotations

import pytest

from soonish.errors import TooManyRequests
from soonish.i18n import _, available_languages, best_language, browser_language, language


@pytest.mark.parametrize(
    ("header", "best"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("fr,en;q=0.5,de;q=0.8", "de"),
        ("en-GB,de;q=0.9", "en"),
        ("de;q=0,en", "en"),
        ("fr, it", None),
        ("", None),
        ("*", None),
        ("de;q=much", None),
        (";;,=,q=1", None),
        ("x" * 10_000, None),
        (",".join(["xx"] * 5_000 + ["de"]), None),
    ],
)
def test_a_browsers_languages(header: str, best: str | None):
    assert browser_language(header) == best


def test_a_profiles_language_is_served_as_near_as_there_is_one():
    assert {"en", "de"} <= set(available_languages())
    wanted = ("de", "de-AT", "de_CH", "pt-BR", "en-GB", "", None)
    assert [best_language(one) for one in wanted] == ["de", "de", "de", "en", "en", "en", "en"]


def test_a_text_is_english_until_it_is_shown():
    text = _("At most %(count)s characters, please.", count=9)
    assert text == "At most 9 characters, please."
    assert language("de").translate(text) == "Bitte höchstens 9 Zeichen."
    assert language("en").translate(text) == text
    assert language("de").translate("") == ""
    assert language("de").translate("100% Ana") == "100% Ana"


def test_an_error_carries_its_values_along():
    told = language("en").translate(TooManyRequests(30).detail)
    assert told == "Please try again in 30 seconds."
