"""Mask addresses for people who must not know them."""

from __future__ import annotations


def mask_address(address: str | None) -> str | None:
    """Mask `anna@example.com` as `a***@e***.com`; other text keeps its first letter."""
    if not address:
        return None
    local, at, domain = address.rpartition("@")
    if not at:
        return f"{address[0]}***"
    host, dot, top = domain.rpartition(".")
    return f"{local[:1]}***@{(host or top)[:1]}***{dot}{top if dot else ''}"
