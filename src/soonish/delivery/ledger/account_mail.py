"""Mail to a user about their account or channels, through the same ledger as everything else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger import expansion
from soonish.delivery.ledger.routing import MAIL
from soonish.delivery.transports.outcome import Outcome
from soonish.infra.db.models.notifications import Delivery, Notification, State
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams


async def add_account_mail(
    session: AsyncSession,
    user_id: int,
    kind: str,
    *,
    dedup_key: str,
    lifetime: timedelta,
    extra: dict[str, Any] | None = None,
    muted: bool = False,
) -> Notification:
    """Write the notification, its one delivery and the outbox row that gets it sent.

    `kind` is one of notifications.texts.ACCOUNT_KINDS. `extra` may name a `purpose` (and a
    `registration_id` or `subscription_id`): the token is then made just before the send
    (docs/architecture.md#tokens). The mail is not sent after `lifetime`. A second call with the
    same `dedup_key` changes nothing. `muted`: it is in the ledger as suppressed, and not sent.
    """
    now = utc_now()
    notification = await expansion.ensure(
        session,
        kind=kind,
        dedup_key=dedup_key,
        content={"extra": extra or {}},
        created_at=now,
    )
    if notification.expanded_at is None:
        session.add(
            Delivery(
                notification_id=notification.id,
                user_id=user_id,
                target_key=MAIL,
                expires_at=now + lifetime,
                created_at=now,
                **(_suppressed(now) if muted else {"state": State.PENDING}),
            )
        )
        notification.expanded_at = now
        if muted:
            notification.completed_at = now
        else:
            outbox.add(session, streams.broadcast(notification.id), streams.WAKE, {})
    return notification


def _suppressed(now: datetime) -> dict[str, Any]:
    return {"state": State.SUPPRESSED, "outcome": Outcome.RATE_LIMITED, "finished_at": now}
