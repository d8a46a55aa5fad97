"""Where a request comes from: the peer, or what a trusted proxy says about it."""

from __future__ import annotations

import ipaddress

from starlette.requests import HTTPConnection

from soonish.config import Settings


def client_address(connection: HTTPConnection, settings: Settings) -> str:
    """The client's IP address; X-Forwarded-For counts only as far as TRUSTED_PROXIES wrote it."""
    address = connection.client.host if connection.client else ""
    forwarded = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    while forwarded and _is_trusted(address, settings):
        nearer = forwarded.pop().strip()
        if _parse(nearer) is None:
            break
        address = nearer
    return address


def limit_key(address: str) -> str:
    """What limits count by: an IPv4 address, the /64 network of an IPv6 one."""
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed or address)


def _is_trusted(address: str, settings: Settings) -> bool:
    parsed = _parse(address)
    networks = [ipaddress.ip_network(n, strict=False) for n in settings.trusted_proxies]
    return parsed is not None and any(
        parsed.version == network.version and parsed in network for network in networks
    )


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None
