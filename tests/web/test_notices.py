"""What a page says once after a redirect."""

from __future__ import annotations

from soonish.web.rendering.notices import NOTICES, notice_of


def test_bad_news_does_not_come_with_a_tick():
    assert notice_of("integration_failed") == ("warn", NOTICES["integration_failed"])
    assert notice_of("integration_added") == ("good", NOTICES["integration_added"])
    assert notice_of("no such name") is None
