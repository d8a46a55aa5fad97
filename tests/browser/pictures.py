"""Pictures of what a test looks at, where SCREENSHOTS names a folder for them."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.async_api import Page


async def picture(page: Page, name: str) -> None:
    """Write the whole page as `name`.png, if pictures are wanted."""
    if folder := os.environ.get("SCREENSHOTS"):
        await page.evaluate("document.fonts.ready")
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
