"""Addresses as somebody may see them who must not know them."""

from __future__ import annotations


def mask_address(address: str | None) -> str | None:
    """`anna@example.com` -> `a***@e***.com`; None stays None, other text keeps its first letter."""
    if not address:
        return None
    local, at, domain = address.rpartition("@")
    if not at:
        return f"{address[0]}***"
    host, dot, top = domain.rpartition(".")
    return f"{local[:1]}***@{(host or top)[:1]}***{dot}{top if dot else ''}"
