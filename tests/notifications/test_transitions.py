"""No state of a delivery can be written but through the table of transitions."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import soonish
from soonish.delivery.ledger.states import SOURCES, transition
from soonish.infra.db.models.notifications import Delivery, DeliveryState
from tests.support.world import World

SOURCE = Path(soonish.__file__).parent
LEGAL = {
    ("pending", "sending"),
    ("pending", "expired"),
    ("pending", "suppressed"),
    ("retrying", "sending"),
    ("retrying", "expired"),
    ("retrying", "suppressed"),
    ("sending", "sending"),
    ("sending", "sent"),
    ("sending", "retrying"),
    ("sending", "pending"),
    ("sending", "failed"),
    ("sending", "expired"),
    ("sending", "suppressed"),
    ("failed", "pending"),
}


async def test_only_these_transitions_change_a_row(world: World) -> None:
    event = await world.event()
    await world.subscribe(event)
    notification = await world.expanded(event)
    [row] = await world.deliveries(notification.id)
    changed: set[tuple[str, str]] = set()
    for before in DeliveryState:
        for after in DeliveryState:
            await world.change(Delivery, row.id, state=before, attempts=7)
            async with world.db.write() as session:
                await session.execute(transition(after, Delivery.id == row.id, attempts=8))
            [now] = await world.deliveries(notification.id)
            assert (now.state, now.attempts) in {(before, 7), (after, 8)}
            if now.attempts == 8:
                changed.add((before.value, after.value))
    assert changed == LEGAL


@pytest.mark.parametrize(
    "state", [DeliveryState.SENT, DeliveryState.EXPIRED, DeliveryState.SUPPRESSED]
)
def test_what_is_over_stays_over(state: DeliveryState) -> None:
    assert all(state not in sources for sources in SOURCES.values())


def test_nothing_else_writes_a_state() -> None:
    """No `update(Delivery)` with a state, no assignment to one of a row, except `transition`."""
    found = [
        f"{path.relative_to(SOURCE)}:{line}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name != "states.py"
        for line in _writes(ast.parse(path.read_text()))
    ]
    assert found == []


def _writes(tree: ast.AST) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.Call) and (_assigns(node) or _updates(node))
    ]


def _assigns(node: ast.AST) -> bool:
    """`row.state = ...`, also within a tuple; an object's own `self.state` is none of ours."""
    if not isinstance(node, ast.Assign):
        return False
    targets = [part for target in node.targets for part in ast.walk(target)]
    return any(
        isinstance(part, ast.Attribute)
        and part.attr == "state"
        and isinstance(part.ctx, ast.Store)
        and not (isinstance(part.value, ast.Name) and part.value.id == "self")
        for part in targets
    )


def _updates(node: ast.AST) -> bool:
    """`....values(state=...)`: inserts give their rows to a constructor or in columns."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "values"
        and any(keyword.arg == "state" for keyword in node.keywords)
    )


def test_the_search_finds_what_it_looks_for() -> None:
    for text in (
        "row.state, row.finished_at = 'sent', now",
        "session.execute(update(Delivery).where(x).values(state='sent'))",
    ):
        assert _writes(ast.parse(text)) == [1]
    assert _writes(ast.parse("self.state = 1; transition('sent', x)")) == []
