"""The parts of `soonish demo`: find or start a system, and play its users over HTTP."""

from __future__ import annotations

from soonish.cli.demonstration.play import run

__all__ = ["run"]
