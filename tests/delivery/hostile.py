"""Hostile addresses in every spelling, and a recorder where sockets connect.

What is closed is written down here a second time, from IANA's special-purpose registries and the
clouds' manuals, so that the code under test is not its own judge.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from soonish.delivery.transports.attempt import in_delivery_thread
from soonish.delivery.transports.egress import guard

PUBLIC = "93.184.216.34"


def words(text: str) -> list[str]:
    return text.split()


_CLOSED = [
    ipaddress.ip_network(n)
    for n in words(
        """
        0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12
        192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24
        203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32 100.100.100.200/32 ::/8
        64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7
        fe80::/10 fec0::/10 ff00::/8
        """
    )
]

TARGETS = words(
    """
    127.0.0.1 127.8.9.1 10.0.0.1 10.255.0.9 172.16.0.1 192.168.1.1 169.254.169.254 169.254.170.2
    100.64.0.1 100.100.100.200 168.63.129.16 192.0.0.192 0.0.0.0 0.1.2.3 224.0.0.1
    255.255.255.255 192.0.2.7 198.18.0.1 198.51.100.7 203.0.113.7 240.0.0.1
    """
)

IPV6 = words(
    """
    [::] [::1] [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [::0001] [fe80::1]
    [fe80::1%eth0] [fe80::1%25eth0] [fe80::a9fe:a9fe] [fec0::1] [fc00::1] [fd00::1]
    [fd00:ec2::254] [FD00:EC2::254] [fd20:ce::254] [ff02::1] [ff0e::1] [100::1] [2001::1]
    [2001:10::1] [2001:20::1] [2001:db8::1] [3fff::1] [5f00::1]
    [2001:0:4136:e378:8000:63bf:3fff:fdd2] ::1 :: fe80::1 [::ffff:0:0] [::1.] [::1 [[::1]]
    [0::1] [::ffff:127.1] [v1.fe80::1]
    """
)

NAMES = words(
    """
    localhost LOCALHOST LocalHost localhost. a.localhost a.b.localhost. localhost.localdomain
    localhost6 ip6-localhost ip6-loopback ｌｏｃａｌｈｏｓｔ localhoſt ⓛocalhost loc\xadalhost
    metadata.google.internal metadata instance-data kubernetes.default.svc host.docker.internal
    127.000.000.001 127.0.0.1.nip.io 10.0.0.1.sslip.io xn--localhost broadcasthost _gateway
    """
)


def _ipv4_spellings(text: str) -> list[str]:
    address = ipaddress.IPv4Address(text)
    number, (a, b, c, d) = int(address), address.packed
    high, low = number >> 16, number & 0xFFFF
    wide = text.translate({ord(str(n)): chr(0xFF10 + n) for n in range(10)})
    return [
        text, f"{text}.", f"[{text}]", f"{number}", f"0x{number:x}", f"0X{number:08X}",
        f"0{number:o}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        f"0{a:o}.{b}.{c}.{d}", f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{low}",
        f"0x{a:x}.{b}.0{c:o}.{d}", f"0{a:o}.{number & 0xFFFFFF}",
        f"0x{a:x}.0x{number & 0xFFFFFF:x}",
        wide, text.replace(".", "。"), text.replace(".", "｡"), text.replace(".", "．"),
        text.replace(".", "%2e"), "".join(f"%{ord(x):02x}" for x in text),
        f"[::ffff:{text}]", f"[::ffff:{high:x}:{low:x}]", f"[0:0:0:0:0:FFFF:{high:X}:{low:X}]",
        f"[::{text}]", f"[::{high:x}:{low:x}]", f"[::ffff:0:{text}]", f"[64:ff9b::{text}]",
        f"[64:ff9b::{high:x}:{low:x}]", f"[64:ff9b:1::{high:x}:{low:x}]",
        f"[2002:{high:x}:{low:x}::]", f"[2002:{high:x}:{low:x}::1]",
        f"[2001:0:{high:x}:{low:x}::1]", f"[2606:4700::5efe:{high:x}:{low:x}]",
        f"[2606:4700::200:5efe:{high:x}:{low:x}]", f"{PUBLIC}@{text}", f"{text}#@{PUBLIC}",
        f"{text}\\@{PUBLIC}", f"{text}%00.example.org", f"u:p@{text}", f"u@{PUBLIC}@{text}",
        f"{text}:80@{PUBLIC}:80@{text}",
    ]  # fmt: skip


SPELLINGS = list(dict.fromkeys([*(s for t in TARGETS for s in _ipv4_spellings(t)), *IPV6, *NAMES]))


def is_closed(address: str) -> bool:
    """True if no delivery may ever connect to this literal address."""
    parsed = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if parsed in ipaddress.ip_network("64:ff9b::/96"):
        parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    is_isatap = parsed.version == 6 and (int(parsed) >> 32) & 0xFCFFFFFF == 0x5EFE
    return is_isatap or any(parsed.version == n.version and parsed in n for n in _CLOSED)


@dataclass
class Recorder:
    """What delivery threads tried: `connects` by a socket, `lookups` of names, `hosts` in all."""

    connects: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    lookups: list[str] = field(default_factory=list[str])
    names: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    default: list[str] = field(default_factory=lambda: ["10.0.0.1"])

    def resolve(self, host: str, port: int) -> list[str]:
        """As the system's resolver would, but names only from here, or else `default`."""
        self.lookups.append(host)
        try:
            found = socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            return self.names.get(host, self.default)
        return [str(entry[4][0]) for entry in found]


@contextlib.contextmanager
def recording() -> Generator[Recorder]:
    """Delivery threads' sockets record where they would connect, and are refused; nothing leaves.

    Other threads connect as usual. Names resolve to what the recorder says.
    """
    recorder = Recorder()
    stock = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}

    def recorded(name: str) -> Any:
        def call(sock: socket.socket, *args: Any) -> Any:
            if not in_delivery_thread():
                return stock[name](sock, *args)
            recorder.connects.append(args[-1][:2])
            raise ConnectionRefusedError(name)

        return call

    guard.resolver = recorder.resolve
    for name in stock:
        setattr(socket.socket, name, recorded(name))
    try:
        yield recorder
    finally:
        # They come from the C base class; without ours, they are found there again.
        for name in stock:
            delattr(socket.socket, name)
        guard.resolver = guard.system_resolver


UUID = "8b799edf-6f98-4d3a-9be7-2862fb4e5752"
_TAILS = [
    "", "/token1234567", f"/{'a' * 24}/{'b' * 24}", "/15551234567/15557654321", "/#room",
    "/!room:h.example", "/?to=you@c.example&mode=insecure&from=me@b.example", "/" + "a" * 64,
    "/15551234567", f"/{'c' * 32}/{'d' * 48}", f"/{UUID}/token1234567", "/api/room/" + "e" * 64,
    "/1", "/a/b/c", f"/1234567890123/{'t' * 32}",
]  # fmt: skip
_USERS = [
    "", "user:password@", "token1234567@", f"{'a' * 64}:{'b' * 64}@", f"trgv_{'k' * 8}_{'k' * 32}@",
]  # fmt: skip


def shapes(scheme: str) -> list[str]:
    """URLs of a scheme with `{}` in the host's place, in the forms that plugins ask for."""
    if scheme in ("mailto", "mailtos"):
        return [
            scheme + "://{}?from=me@b.example&to=you@c.example&mode=insecure",
            scheme + "://u:p@b.example?smtp={}",
            scheme + "://u:p@{}/you@c.example",
        ]
    return [f"{scheme}://{user}{{}}{tail}" for tail in _TAILS for user in _USERS]
