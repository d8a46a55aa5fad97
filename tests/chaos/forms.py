"""The two forms of a chaos test: a few rounds in `make test`, all of them in `make chaos`."""

from __future__ import annotations

import os
import random

import pytest

SEED = int(os.environ.get("CHAOS_SEED", "1"))
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def rounds(short: int, full: int) -> pytest.MarkDecorator:
    """Gives a test its number of `rounds`; CHAOS_ROUNDS replaces that of the full form."""
    return amounts("rounds", short, int(os.environ.get("CHAOS_ROUNDS", full)))


def amounts(name: str, short: int, full: int) -> pytest.MarkDecorator:
    """Gives a test this argument in two sizes, of which only `make chaos` runs the full one."""
    both = [
        pytest.param(short, id="short"),
        pytest.param(full, id="full", marks=pytest.mark.chaos),
    ]
    return pytest.mark.parametrize(name, both)


def chance(*what: object) -> random.Random:
    """Randomness that CHAOS_SEED and the place alone decide."""
    return random.Random(":".join(map(str, (SEED, *what))))
