"""Which addresses are open, in every spelling that resolvers read."""

from __future__ import annotations

import ipaddress

import pytest

from soonish.delivery.transports.egress.addresses import is_localhost, is_permitted, parse_literal

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
EVERYTHING = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]

CLOSED = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1",  # noqa: S104
    "100.127.255.255",
    "127.0.0.1", "127.1.2.3", "169.254.0.1", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1",
    "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "100.100.100.200",
    "168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a00:1::", "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2001:10::1", "2001:20::1",
    "3fff::1", "5f00::1", "100::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fd20:ce::254",
    "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "2606:4700::5efe:7f00:1",
    "2606:4700::200:5efe:7f00:1",
]  # fmt: skip

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]  # fmt: skip

SPELLINGS = [
    "2130706433", "0x7f000001", "0x7F.0.0.1", "0177.0.0.1", "017700000001", "127.1",
    "127.0.1", "0x7f.1", "0177.1", "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "0:0:0:0:0:ffff:7f00:1", "[0:0:0:0:0:0:0:1]", "127.000.000.001",
    "１２７.０.０.１", "127。0。0。1", "１２７｡０｡０｡１", "0x7f.0x0.0x0.0x1", "0", "0x0", "0.0",
    "00.00.00.00", "[::]", "[::ffff:0:7f00:1]", "3232235521", "0xc0a80001", "0300.0250.0.1",
    "192.168.1", "10.1", "012.1", "0xa.1", "167772161", "2852039166", "0xa9fea9fe",
    "0251.0376.0251.0376", "169.254.43518", "0xa9.0xfe.0xa9.0xfe", "169.16689662",
    "[fe80::1%25eth0]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]",
    "1681915904", "100.4194304",
]  # fmt: skip


@pytest.mark.parametrize("address", CLOSED)
def test_is_closed(address: str):
    parsed = ipaddress.ip_address(address)
    assert not is_permitted(parsed, [])


@pytest.mark.parametrize("address", PUBLIC)
def test_is_public(address: str):
    assert is_permitted(ipaddress.ip_address(address), [])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_closed_address_is_read_and_refused(spelling: str):
    address = parse_literal(spelling)
    assert address is not None
    assert not is_permitted(address, [])


@pytest.mark.parametrize("name", ["example.org", "a", "1.2.3.4.5", "0x", "127.0.0.1.example", ""])
def test_names_are_no_literals(name: str):
    assert parse_literal(name) is None


def test_operators_open_networks_but_never_link_local_or_metadata():
    assert is_permitted(ipaddress.ip_address("127.0.0.1"), LOOPBACK)
    assert is_permitted(ipaddress.ip_address("::ffff:127.0.0.1"), LOOPBACK)
    assert not is_permitted(ipaddress.ip_address("10.0.0.1"), LOOPBACK)
    for closed in ("169.254.169.254", "0.1.2.3", "224.0.0.1", "fe80::1", "fd00:ec2::254", "::"):
        assert not is_permitted(ipaddress.ip_address(closed), EVERYTHING)


def test_localhost_names():
    assert is_localhost("localhost")
    assert is_localhost("LOCALHOST.")
    assert is_localhost("a.localhost")
    assert not is_localhost("localhost.example.org")
