"""Writing to the outbox, in the transaction of what is announced (DESIGN 4)."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.db.session import NUDGES
from soonish.outbox.models import OutboxRow


def add(session: AsyncSession, stream: str, kind: str, payload: dict[str, Any]) -> None:
    """Note that the stream has work of this kind. The payload holds ids only, never texts."""
    session.add(OutboxRow(stream=stream, kind=kind, payload=payload))
    session.info.setdefault(NUDGES, set()).add(stream)
