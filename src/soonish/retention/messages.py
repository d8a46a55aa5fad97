"""What MaintenanceWorkflow and its activity say to each other."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class MaintenanceInput:
    """`rules` are the names that are left to apply; None at the start: all."""

    rules: list[str] | None = None


@dataclass
class RemovalWork:
    rule: str


@dataclass
class Removed:
    rows: int
    more: bool


@dataclass
class MaintenanceReport:
    """Rows removed, by rule."""

    removed: dict[str, int] = field(default_factory=dict[str, int])
