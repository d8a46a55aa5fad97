"""What the accounts' workflows and activities tell each other. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class VerificationInput:
    """`begun`: the mail has been asked for by an earlier run."""

    user_id: int
    workflow_id: str
    begun: bool = False


@dataclass
class SessionInput:
    session_id: int


@dataclass
class Deadline:
    """When to look again, in seconds from now; None: it has come to its end."""

    seconds: float | None
