"""Scenario: does the time of an answer tell whether an address is known?"""

from __future__ import annotations

import os
import random
import statistics
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import httpx2

from bench.harness import System, sink, system
from bench.rows import Row, row
from bench.seed import Seed
from soonish.domain.accounts import passwords
from soonish.domain.accounts import service as accounts
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now

TRIES = 1000  # of each route, half of them with the address of an account
PASSWORD = "a password of the bench"
Body = dict[str, Any]
_OWN = {"date", "x-request-id", "set-cookie"}  # what differs between any two answers


def enumeration(tries: int | None = None) -> list[Row]:
    """TRIES requests of each kind in random order, one after the other: how often somebody is right
    who takes the slower of two answers for the known address (or the faster, if that is better)."""
    wanted = tries or int(os.environ.get("TRIES") or TRIES)
    with sink() as target, system(None, **target.mail) as running:
        seed = Seed(running)
        (event_id,) = seed.events(1, utc_now() + timedelta(days=30))
        seed.run(lambda db: _accounts(db, wanted // 2))
        with httpx2.Client(base_url=running.base_url, timeout=30) as client:
            rows = [
                one
                for name, path, body_of in _routes(event_id)
                for one in _compare(client, name, path, body_of, wanted // 2)
            ]
        _check(running)
    return rows


def _routes(event_id: int) -> list[tuple[str, str, Callable[[str], Body]]]:
    def address(email: str) -> Body:
        return {"email": email}

    return [
        ("register", "/api/auth/register", lambda e: {"email": e, "password": PASSWORD}),
        ("magic link", "/api/auth/magic-link", address),
        ("forgotten password", "/api/auth/password/forgot", address),
        ("wrong password", "/api/auth/login", lambda e: {"email": e, "password": "wrong"}),
        ("subscribe", f"/api/events/{event_id}/subscribe", address),
        ("subscribe again", f"/api/events/{event_id}/subscribe", address),
    ]


async def _accounts(db: Database, count: int) -> None:
    hashed = await passwords.hash_password(PASSWORD)
    for start in range(0, count, 50):
        async with db.write() as session:
            for number in range(start, min(start + 50, count)):
                user = await accounts.find_or_create_by_address(session, _known(number))
                user.is_verified, user.password_hash = True, hashed


def _known(number: int) -> str:
    return f"known-{number:06}@example.com"


def _compare(
    client: httpx2.Client, name: str, path: str, body_of: Callable[[str], Body], each: int
) -> list[Row]:
    """Rows of one route. AssertionError where two answers differ in more than their time."""
    numbers = [(number, known) for number in range(each) for known in (True, False)]
    random.shuffle(numbers)
    fresh = f"{name.replace(' ', '-')}-{time.time_ns()}"
    seconds: dict[bool, list[float]] = {True: [], False: []}
    kinds: set[str] = set()
    for number, known in numbers:
        email = _known(number) if known else f"{fresh}-{number:06}@example.com"
        began = time.perf_counter()
        answer = client.post(path, json=body_of(email))
        seconds[known].append(time.perf_counter() - began)
        kinds.add(_seen(answer))
    assert len(kinds) == 1, f"{name}: answers differ: {sorted(kinds)[:2]}"
    apart = statistics.median(seconds[True]) - statistics.median(seconds[False])
    return [
        row(f"{name}: median", statistics.median(seconds[False]) * 1000, "ms"),
        row(f"{name}: medians apart", abs(apart) * 1000, "ms"),
        row(f"{name}: guessed right by time", guessed(*seconds.values()) * 100, "%", 55, less=True),
    ]


def _seen(answer: httpx2.Response) -> str:
    headers = sorted((k, v) for k, v in answer.headers.items() if k not in _OWN)
    cookies = sorted(one.partition("=")[0] for one in answer.headers.get_list("set-cookie"))
    return f"{answer.status_code} {headers} {cookies} {answer.text}"


def guessed(known: Sequence[float], unknown: Sequence[float]) -> float:
    """The chance that the better of the two guesses is right: 0.5 where time tells nothing."""
    ordered = sorted(unknown)
    slower = sum(bisect_left(ordered, t) + bisect_right(ordered, t) for t in known)
    chance = slower / (2 * len(known) * len(unknown))
    return max(chance, 1 - chance)


def _check(running: System) -> None:
    if running.process.poll() is not None:
        raise RuntimeError("the system ended meanwhile")
