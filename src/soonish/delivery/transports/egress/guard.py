"""Resolve once, check every address, connect to the checked one.

See docs/architecture.md#egress-guard.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout

from soonish.delivery.transports.attempt import Attempt, BlockedTarget, current
from soonish.delivery.transports.egress.addresses import (
    Address,
    is_localhost,
    is_permitted,
    parse_literal,
)
from soonish.delivery.transports.egress.dns import Lookups

RESOLVE_SECONDS = 3.0
CONNECT_SECONDS = 5.0


def system_resolver(host: str, port: int) -> list[str]:
    """Return all addresses of a name, in the system's order. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


_lookups = Lookups()
resolver: Callable[[str, int], list[str]] = system_resolver


def resolve(host: str, port: int, seconds: float = RESOLVE_SECONDS) -> list[Address]:
    """Return every address of `host`. Literals and localhost need no resolver.

    Raises TimeoutError after `seconds`, or OSError if the name does not resolve.
    """
    literal = parse_literal(host)
    if literal is not None:
        return [literal]
    if is_localhost(host):
        return [ipaddress.IPv4Address("127.0.0.1")]
    try:
        names = _lookups.find(resolver, host, port, seconds)
    except FutureTimeout as error:
        raise TimeoutError("the name server did not answer") from error
    return [ipaddress.ip_address(name.split("%", 1)[0]) for name in names]


def checked_addresses(host: str, port: int, attempt: Attempt) -> list[Address]:
    """Return the addresses of `host` if this attempt may connect to every one of them.

    Raises BlockedTarget if not (a name with mixed records is an attack or a mistake).
    """
    seconds = min(RESOLVE_SECONDS, attempt.remaining)
    try:
        addresses = resolve(host, port, seconds)
    except TimeoutError:
        attempt.fault = "timeout"
        raise
    except (OSError, UnicodeError) as error:
        attempt.fault = "resolve"
        raise OSError("the name does not resolve") from error
    if not addresses or not all(is_permitted(a, attempt.allowed) for a in addresses):
        attempt.fault = "blocked"
        raise BlockedTarget("the address is not public")
    return addresses


def connect(host: str, port: int) -> socket.socket:
    """Connect the current attempt to a checked address of `host`, with TCP_NODELAY.

    Raises BlockedTarget, TimeoutError or another OSError, and sets the attempt's `fault`.
    """
    attempt = current()
    if attempt.only is not None:
        addresses = _operators_addresses(host, port, attempt)
    else:
        addresses = checked_addresses(host, port, attempt)
    error: OSError = OSError("no address")
    for address in addresses:
        try:
            sock = _connect_one(address, port, attempt)
            attempt.fault, attempt.contacted = None, True
            return sock
        except BlockedTarget:
            attempt.fault = "blocked"
            raise
        except OSError as caught:
            attempt.fault = "timeout" if isinstance(caught, TimeoutError) else "connection"
            error = caught
    raise error


def _operators_addresses(host: str, port: int, attempt: Attempt) -> list[Address]:
    if (host, port) != attempt.only:
        attempt.fault = "blocked"
        raise BlockedTarget("service mail reaches the operator's mail server only")
    return resolve(host, port, min(RESOLVE_SECONDS, attempt.remaining))


def _connect_one(address: Address, port: int, attempt: Attempt) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(min(CONNECT_SECONDS, attempt.remaining))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        attempt.approved.add((str(address), port))
        sock.connect((str(address), port))
        sock.settimeout(attempt.remaining)
    except BaseException:
        sock.close()
        raise
    return sock
