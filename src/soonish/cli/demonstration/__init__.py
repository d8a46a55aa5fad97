"""What `soonish demo` does: finds or starts a system, and plays its people over HTTP."""

from __future__ import annotations

from soonish.cli.demonstration.play import run

__all__ = ["run"]
