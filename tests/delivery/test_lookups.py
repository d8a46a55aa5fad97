"""Lookups: one domain that hangs leaves threads for all others."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import pytest

from soonish.delivery.transports.egress.dns import Lookups, domain_of
from tests.support.wait import wait_for


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("a.b.example", "b.example"),
        ("B.Example.", "b.example"),
        ("a.b.co.uk", "b.co.uk"),
        ("x.t.co", "t.co"),
        ("localhost", "localhost"),
        ("", ""),
    ],
)
def test_domains(host: str, domain: str):
    assert domain_of(host) == domain


class Names:
    """A resolver whose names under slow.example hang until `released`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.released = threading.Event()

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host.lower().endswith("slow.example"):
            self.released.wait(20)
        return ["192.0.2.1"]


@pytest.fixture
def names() -> Generator[Names]:
    names = Names()
    yield names
    names.released.set()


def test_a_domain_that_hangs_holds_its_share_and_no_more(names: Names):
    lookups = Lookups(threads=8, per_domain=2)
    with ThreadPoolExecutor(20) as callers:
        slow = [
            callers.submit(lookups.find, names, f"n{n}.slow.example", 80, 1.0) for n in range(12)
        ]
        wait_for(lambda: len(names.asked) == 2, 5, "two lookups")
        started = time.monotonic()
        for n in range(20):
            assert lookups.find(names, f"n{n}.quick.example", 80, 1.0) == ["192.0.2.1"]
        assert time.monotonic() - started < 0.9
        assert all(isinstance(future.exception(5), TimeoutError) for future in slow)
    assert len([name for name in names.asked if "slow" in name]) == 2
    names.released.set()
    assert lookups.find(names, "n99.slow.example", 80, 5.0) == ["192.0.2.1"]


def test_those_who_ask_for_one_name_at_once_share_the_lookup(names: Names):
    lookups = Lookups(threads=4, per_domain=2)
    with ThreadPoolExecutor(20) as callers:
        found = [callers.submit(lookups.find, names, "Slow.example", 80, 10.0) for _ in range(5)]
        found += [callers.submit(lookups.find, names, "slow.example", 80, 10.0) for _ in range(5)]
        wait_for(lambda: len(names.asked) == 1, 5, "one lookup")
        names.released.set()
        assert [future.result(5) for future in found] == [["192.0.2.1"]] * 10
    assert names.asked in (["Slow.example"], ["slow.example"])


def test_what_the_resolver_raises_is_raised_and_forgotten():
    lookups = Lookups(threads=1, per_domain=1)

    def failing(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    for _ in range(3):
        with pytest.raises(OSError, match="no such name"):
            lookups.find(failing, "nowhere.example", 80, 1.0)
    assert lookups.find(lambda host, port: ["192.0.2.2"], "nowhere.example", 80, 1.0)
