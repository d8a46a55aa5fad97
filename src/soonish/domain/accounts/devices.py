"""Name the browser and system of a User-Agent header for people."""

from __future__ import annotations

# The first match wins: Edge and Opera also claim to be Chrome, and Chrome to be Safari.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("Chrome", "Chrome"),
    ("CriOS", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def device_name(user_agent: str | None) -> tuple[str, str]:
    """Return (browser, system), such as (`Firefox`, `Linux`).

    Other programs give their own name and an empty string; a missing header, two empty strings.
    """
    header = user_agent or ""
    browser = next((name for mark, name in _BROWSERS if mark in header), "")
    system = next((name for mark, name in _SYSTEMS if mark in header), "")
    if browser:
        return browser, system
    return header.partition("/")[0].strip()[:60], ""
