"""Rules for the IP addresses that a delivery may reach (docs/architecture.md#egress-guard)."""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
# IPv6 prefixes whose last 32 bits are an IPv4 destination: compatible, SIIT, local NAT64.
_CARRIERS = tuple(IPv6Network(n) for n in ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48"))
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# No setting allows these: link-local, this host, multicast, broadcast, cloud metadata.
_NEVER_PERMITTED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure, although a public address
        "192.0.0.192/32",  # Oracle
        "::/128",
        "fe80::/10",
        "ff00::/8",
        "fd00:ec2::/32",  # AWS
        "fd20:ce::/32",  # Google
    )
)
# Ranges that Python's is_global accepts although they are no ordinary public hosts.
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    ipaddress.ip_network(n)
    for n in (
        "192.88.99.0/24",  # 6to4 relays
        "192.0.0.0/24",
        "2001::/23",  # Teredo, ORCHID and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries an IPv4 address
        "3fff::/20",  # documentation
    )
)


def unwrap(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6-mapped or NAT64 address, else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_permitted(address: Address, allowed: Sequence[Network]) -> bool:
    """Return True if `address` is public, or in one of the operator's `allowed` networks."""
    address = unwrap(address)
    if any(_within(a, _NEVER_PERMITTED) for a in (address, *_carried(address))):
        return False
    return _within(address, allowed) or _is_public(address)


def _carried(address: Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that a tunnel or translator would extract from an IPv6 address."""
    if isinstance(address, IPv4Address) or address.is_loopback:
        return []
    found = [address.sixtofour, *(address.teredo or ())]
    if _within(address, _CARRIERS) or _is_isatap(address):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [a for a in found if a is not None]


def _is_isatap(address: IPv6Address) -> bool:
    return (int(address) >> 32) & 0xFFFFFFFF in (0x5EFE, 0x02005EFE)


def _is_public(address: Address) -> bool:
    if _within(address, _NOT_PUBLIC) or not address.is_global or address.is_multicast:
        return False
    if isinstance(address, IPv6Address):
        return address in _GLOBAL_UNICAST and not _is_isatap(address)
    return not address.is_reserved


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == n.version and address in n for n in networks)


@lru_cache(maxsize=4096)
def parse_literal(host: str) -> Address | None:
    """Parse an address in any spelling that the system's resolver reads; None for a name.

    Spellings are decimal, octal, hex, short forms, and IPv6 with a zone.
    """
    host = _mapped(host).strip().strip("[]").split("%", 1)[0].rstrip(".")
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if not host or not host.isascii() or any(c.isspace() for c in host):
        return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):  # a NUL is a ValueError
        return None


def is_localhost(host: str) -> bool:
    """Return True for `localhost` and names below it, which are never looked up (RFC 6761)."""
    name = _mapped(host).strip().rstrip(".").lower()
    return name in ("localhost", "localhost.localdomain") or name.endswith(".localhost")


def _mapped(host: str) -> str:
    """Map full-width and other look-alike characters as IDNA does."""
    if host.isascii():
        return host
    shown = "".join(c for c in host if unicodedata.category(c) != "Cf")  # soft hyphens and such
    return unicodedata.normalize("NFKC", shown).replace("\u3002", ".")
