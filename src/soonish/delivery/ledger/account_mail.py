"""Mail users about their account or channels, through the same ledger as every message."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.channels.health import OwnerNotice
from soonish.delivery.ledger import expansion
from soonish.delivery.ledger.routing import MAIL
from soonish.delivery.transports.outcome import Outcome
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams
from soonish.kit.schemas import as_z

OWNER_MAIL_LIFETIME = timedelta(hours=72)


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
    """Write the notification, its single delivery and the outbox row that triggers the send.

    `kind` is one of texts.accounts.ACCOUNT_KINDS. `extra` may name a `purpose` (and a
    `registration_id` or `subscription_id`): the token is then made just before the send
    (docs/architecture.md#tokens). The mail is not sent after `lifetime`. A second call with the
    same `dedup_key`
    changes nothing. `muted`: record the mail as suppressed and do not send it.
    """
    now = utc_now()
    notification = await expansion.get_or_create(
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
                **(_suppressed(now) if muted else {"state": DeliveryState.PENDING}),
            )
        )
        notification.expanded_at = now
        if muted:
            notification.completed_at = now
        else:
            outbox.add(session, streams.broadcast(notification.id), streams.WAKE, {})
    return notification


def _suppressed(now: datetime) -> dict[str, Any]:
    return {"state": DeliveryState.SUPPRESSED, "outcome": Outcome.RATE_LIMITED, "finished_at": now}


async def mail_owners(session: AsyncSession, notices: Iterable[OwnerNotice]) -> None:
    """Mail the owners of channels that fail or were switched off, once per `since`."""
    for notice in notices:
        channel = notice.channel
        await add_account_mail(
            session,
            channel.user_id,
            notice.kind,
            dedup_key=f"{notice.kind}:{channel.ids[0]}:{as_z(notice.since)}",
            lifetime=OWNER_MAIL_LIFETIME,
            extra={"channel": channel.name, "problem": notice.problem},
        )
