"""Client addresses: the peer, or what a trusted proxy says about it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from soonish.config import Settings

# added by a proxy on the same machine to the requests of others
_FORWARDING = (
    "forwarded",
    "via",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
)


def client_address(connection: HTTPConnection, settings: Settings) -> str:
    """Return the client's IP address, trusting X-Forwarded-For only from TRUSTED_PROXIES."""
    address = connection.client.host if connection.client else ""
    forwarded = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    while forwarded and _is_trusted(address, settings):
        nearer = forwarded.pop().strip()
        if _parse(nearer) is None:
            break
        address = nearer
    return address


def is_this_machine(connection: HTTPConnection) -> bool:
    """Return True if this machine asks for itself without a proxy in between.

    The requested name counts too: a web site may resolve its own name to 127.0.0.1, and the local
    browser would then let the site's scripts read the answer.
    """
    peer = connection.client.host if connection.client else ""
    proxied = any(name in connection.headers for name in _FORWARDING)
    host = _host_name(connection.headers.get("host", ""))
    return not proxied and _is_loopback(peer) and (host == "localhost" or _is_loopback(host))


def _host_name(header: str) -> str:
    """Return the name in a Host header without its port; empty if there is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(address: str) -> bool:
    parsed = _parse(address)
    return parsed is not None and parsed.is_loopback


def limit_key(address: str) -> str:
    """Return the key limits count by: an IPv4 address, or the /64 network of an IPv6 one."""
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
