"""How often a long-lived process looks for garbage."""

from __future__ import annotations

import gc

NEW_OBJECTS = 10_000  # until it is looked for; every 700 costs 2% of a large broadcast


def collect_rarely() -> None:
    """Call it once everything is imported and made: what is there by now stays.

    Looking through that again costs a worker 5%, and the API stops for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
