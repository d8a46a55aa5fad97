"""Mail a channel's owner about its trouble."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.channels.health import OwnerNotice
from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.kit.schemas import as_z

MAIL_LIFETIME = timedelta(hours=72)


async def mail_owners(session: AsyncSession, notices: Iterable[OwnerNotice]) -> None:
    """Write a mail for each notice, once for each time that a channel began to fail."""
    for notice in notices:
        channel = notice.channel
        await add_account_mail(
            session,
            channel.user_id,
            notice.kind,
            dedup_key=f"{notice.kind}:{channel.ids[0]}:{as_z(notice.since)}",
            lifetime=MAIL_LIFETIME,
            extra={"channel": channel.name, "problem": notice.problem},
        )
