"""Clicks that lead to another page, or to another state of the one that is open."""

from __future__ import annotations

from playwright.async_api import Locator, expect

_BUSY = ".htmx-request, .htmx-swapping, .htmx-settling"  # HTMX marks what it works on
_MARK = "data-left-behind"


async def click_through(target: Locator, *, times: int = 1) -> None:
    """Click a link or a button and return when what it leads to has replaced it.

    A click alone returns at once, and the next one would find the page that is being left: also one
    of its links that has the same label. It does not matter whether the browser loads a page or
    HTMX swaps in one, or a part of it.
    """
    page = target.page
    await expect(page.locator(_BUSY)).to_have_count(0)
    await target.evaluate("(element, mark) => element.setAttribute(mark, '')", _MARK)
    await target.click(click_count=times)
    await expect(page.locator(f"[{_MARK}], {_BUSY}")).to_have_count(0)
    await page.wait_for_load_state()
