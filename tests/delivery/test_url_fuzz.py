"""Seeded fuzz: whatever text somebody gives as a channel is judged, quickly, and without a crash.

`make test` judges 20,000 of them, the chaos form 100,000 and their time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest
from apprise.manager_plugins import NotificationManager

from soonish.config import Settings
from soonish.delivery.transports.apprise import schemes
from soonish.delivery.transports.apprise.cache import host_key
from soonish.delivery.transports.apprise.urls import check_url
from soonish.delivery.transports.egress.addresses import is_permitted, parse_literal
from soonish.errors import InvalidInput
from tests.delivery.hostile import SPELLINGS, shapes

SEED = 20_261_123
SHORT, FULL = 20_000, 100_000
SLOWEST = 0.5  # seconds of processor time for one URL

KNOWN = sorted(str(scheme) for scheme in NotificationManager().schemas())
ALLOWED = sorted(schemes.ALLOWED)
ARGUMENTS = sorted(
    {
        name
        for scheme in ALLOWED
        for name in NotificationManager()[scheme].template_args  # pyright: ignore
    }
)
CHARACTERS = (
    "aZ09-_.~:/?#[]@!$&'()*+,;=%<>\"{}|\\^` \t\r\n\0\x7f\u00ad\u200b\u202e\u2028é中\U0001f4a5ſK．。"
)
PIECES = [
    "%00", "%0d%0a", "%250a", "%25", "%", "://", "//", "@", "@@", ":", "::", "[", "]", "[::1]", "?",
    "#", "/#", "&", ";", "=", "..", "/../", "\\", "json://", ",", " ", "{}", "${x}", "%s", "{0}",
    "+15551234567", "a@b.example", "#room", "!room:h", "999999999999999999999", "-1", "0x", "1e9",
    "file:///etc/passwd", "http://169.254.169.254/", "A" * 300, "(" * 100, "a," * 100, "/a" * 200,
    "[" * 100, "%41" * 100, "é" * 200, "1" * 500, "@a" * 100, "a.b" * 80, " " * 300, ":1" * 100,
]  # fmt: skip
VALUES = ["", "yes", "no", "1", "0", "-1", "text", "html", "/etc/passwd", "x" * 200, "a,b", "{}"]


def _text(rng: random.Random) -> str:
    return "".join(rng.choice(CHARACTERS) for _ in range(rng.randint(0, 60)))


def _arguments(rng: random.Random) -> str:
    extra = rng.choice("+-:") + "X"
    names = [extra if rng.random() < 0.2 else rng.choice(ARGUMENTS) for _ in range(3)]
    values = [rng.choice(VALUES + PIECES + SPELLINGS[:50]) for _ in names]
    pairs = zip(names, values, strict=True)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _whole(rng: random.Random) -> str:
    """A URL near to what its plugin takes."""
    shape = rng.choice(shapes(rng.choice(ALLOWED)))
    host = rng.choice(["h.example", "h.example:8080", rng.choice(SPELLINGS)])
    joint = "&" if "?" in shape else "?"
    return shape.format(host) + (joint + _arguments(rng) if rng.random() < 0.6 else "")


def _assembled(rng: random.Random) -> str:
    parts = [rng.choice(KNOWN), "://"]
    for _ in range(rng.randint(1, 8)):
        parts.append(rng.choice([_text(rng)[:8], rng.choice(PIECES), rng.choice(SPELLINGS), "/"]))
    return "".join(parts)


def _mutated(rng: random.Random) -> str:
    url = list(_whole(rng))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(url) + 1)
        url[at : at + rng.randint(0, 3)] = rng.choice([*PIECES, rng.choice(CHARACTERS)])
    return "".join(url)


def urls(count: int) -> Iterator[str]:
    """The same `count` hostile texts each time."""
    rng = random.Random(SEED)
    makers = [_whole, _assembled, _mutated, _mutated, _text]
    for number in range(count):
        yield makers[number % len(makers)](rng)


def _is_clear(error: InvalidInput) -> bool:
    """True; fails where the refusal does not say which field and why."""
    assert error.code.startswith("integration_url_")
    assert [e.field for e in error.errors] == ["apprise_url"]
    assert 10 < len(error.errors[0].message) < 300
    assert "\0" not in str(error)
    return True


def judge(url: str, settings: Settings) -> bool:
    """True if it may be stored. Anything but InvalidInput is a crash."""
    assert host_key(url) is not None
    try:
        channel = check_url(url, settings)
    except InvalidInput as error:
        return not _is_clear(error)
    address = parse_literal(channel.target)
    assert address is None or is_permitted(address, [])
    assert channel.kind in schemes.ALLOWED
    return True


def test_whatever_is_given_is_judged(settings_for: Callable[..., Settings]):
    settings = settings_for()
    accepted = sum(judge(url, settings) for url in urls(SHORT))
    assert SHORT / 50 < accepted < SHORT / 2  # neither all refused nor all let through


@pytest.mark.chaos
def test_whatever_is_given_is_judged_within_half_a_second(
    settings_for: Callable[..., Settings],
    record_testsuite_property: Callable[[str, object], None],
):
    settings = settings_for()
    slowest = (0.0, "")
    for url in urls(FULL):
        started = time.thread_time()
        judge(url, settings)
        slowest = max(slowest, (time.thread_time() - started, url))
    record_testsuite_property("slowest_seconds", round(slowest[0], 4))
    assert slowest[0] < SLOWEST, slowest


@pytest.mark.parametrize("length", [2049, 100_000, 10_000_000])
def test_a_long_url_is_refused_before_anything_reads_it(
    length: int, settings_for: Callable[..., Settings]
):
    settings = settings_for()
    started = time.thread_time()
    for pattern in ("json://h.example/" + "a" * length, "json://" + "@" * length, ":/" * length):
        with pytest.raises(InvalidInput, match="longer than 2048"):
            check_url(pattern, settings)
    assert time.thread_time() - started < 5
