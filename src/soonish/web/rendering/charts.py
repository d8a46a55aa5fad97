"""Chart geometry for the organizer's page.

The templates draw plain coordinates as SVG, since the pages' policy allows no inline style.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from soonish.infra.db.models.notifications import DeliveryState

WIDTH, HEIGHT = 600.0, 120.0
_GAP = 0.25  # of a column
# As they are stacked, from the bottom up.
STATES = tuple(
    state.value
    for state in (
        DeliveryState.SENT,
        DeliveryState.SENDING,
        DeliveryState.PENDING,
        DeliveryState.RETRYING,
        DeliveryState.SUPPRESSED,
        DeliveryState.EXPIRED,
        DeliveryState.FAILED,
    )
)


@dataclass(frozen=True)
class Bar:
    """A rectangle of a column; `kind` determines its colour."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Chart:
    """`parts` or `points` within WIDTH x HEIGHT; `highest` is the number at the top."""

    highest: int
    parts: Sequence[Bar] = ()
    points: str = ""
    width: float = WIDTH
    height: float = HEIGHT


def stacked(columns: Sequence[Mapping[str, int]], kinds: Sequence[str]) -> Chart:
    """Return a stacked column for each mapping of kind to number; empty if every number is 0."""
    highest = max((sum(column.values()) for column in columns), default=0)
    if not highest:
        return Chart(0)
    step = WIDTH / len(columns)
    parts: list[Bar] = []
    for number, column in enumerate(columns):
        top = HEIGHT
        for kind in kinds:
            height = HEIGHT * column.get(kind, 0) / highest
            if height:
                top -= height
                parts.append(
                    Bar(kind, number * step + step * _GAP / 2, top, step * (1 - _GAP), height)
                )
    return Chart(highest, parts)


def line(values: Sequence[int]) -> Chart:
    """Return the numbers as the `points` of a polyline over the whole width."""
    highest = max(values, default=0)
    if not highest:
        return Chart(0)
    ends = values if len(values) > 1 else [*values, *values]
    step = WIDTH / (len(ends) - 1)
    points = (
        f"{number * step:.1f},{HEIGHT - (HEIGHT - 4) * value / highest - 2:.1f}"
        for number, value in enumerate(ends)
    )
    return Chart(highest, points=" ".join(points))
