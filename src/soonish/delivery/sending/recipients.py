"""Load the targets of claimed rows: addresses and Apprise URLs, decrypted just before the send."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import aliased

from soonish.delivery.ledger.ledger import MIN_LEASE_LEFT, Claimed
from soonish.delivery.ledger.statements import NOW, is_sendable
from soonish.infra.db import sql
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, DeliveryState


@dataclass(frozen=True)
class MailTarget:
    """A user's address, None once they are erased; `epoch` goes into the tokens of their links."""

    address: str | None
    locale: str
    epoch: int


@dataclass(frozen=True)
class ChannelTarget:
    """A channel's URL. `needs_permit`: it fails or waits, so that a send needs a permit."""

    integration_id: int
    kind: str
    url: str
    locale: str
    needs_permit: bool


async def load_mail_targets(
    on: AsyncConnection, rows: Sequence[Claimed], lease_token: str, now: datetime
) -> dict[int, MailTarget]:
    """Return the mail targets of rows that may still be sent, by delivery id."""
    if not rows:
        return {}
    query = _select_mail_targets(sqlite=sql.is_sqlite(on))
    found = await on.execute(query, _parameters(on, rows, lease_token, now))
    return {
        delivery_id: MailTarget(address, locale or "en", epoch)
        for delivery_id, address, locale, epoch in found.all()
    }


async def load_channel_targets(
    on: AsyncConnection, rows: Sequence[Claimed], lease_token: str, now: datetime
) -> dict[int, ChannelTarget | None]:
    """Return the channels of rows that may still be sent, by delivery id; None if none serves.

    Any active integration of that user with that URL serves.
    """
    if not rows:
        return {}
    query = _select_channel_targets(sqlite=sql.is_sqlite(on))
    found = await on.execute(query, _parameters(on, rows, lease_token, now))
    return {
        delivery_id: ChannelTarget(integration_id, kind, url, locale or "en", bool(held))
        if url
        else None
        for delivery_id, integration_id, kind, url, locale, held in found.all()
    }


def _parameters(
    on: AsyncConnection, rows: Sequence[Claimed], lease_token: str, now: datetime
) -> dict[str, Any]:
    ids = sql.ids_value(on, [row.id for row in rows])
    return {"p_ids": ids, "p_token": lease_token, "p_now": now, "p_enough": now + MIN_LEASE_LEFT}


async def count_waiting_before(
    session: AsyncSession, row_ids: Iterable[int], now: datetime
) -> dict[int, int]:
    """Count the other rows that wait for the same target of the same user, by delivery id."""
    other = aliased(Delivery)
    query = (
        select(Delivery.id, func.count(other.id))
        .join(
            other,
            and_(
                other.user_id == Delivery.user_id,
                other.target_key == Delivery.target_key,
                other.state.in_((DeliveryState.PENDING, DeliveryState.RETRYING)),
                other.next_attempt_at > now,
            ),
        )
        .where(Delivery.id.in_(sql.id_list(session, row_ids)))
        .group_by(Delivery.id)
    )
    return {row[0]: row[1] for row in await session.execute(query)}


@cache
def _select_mail_targets(*, sqlite: bool) -> Select[*tuple[Any, ...]]:
    """Build the query once. Parameters as is_sendable."""
    return (
        select(Delivery.id, User.email, User.locale, User.token_epoch)
        .join(User, User.id == Delivery.user_id)
        .where(is_sendable(sqlite=sqlite))
    )


@cache
def _select_channel_targets(*, sqlite: bool) -> Select[*tuple[Any, ...]]:
    """Build the query once. Parameters as is_sendable."""
    serving = (
        select(
            Delivery.id.label("delivery_id"),
            func.min(Integration.id).label("integration_id"),
            func.max(Integration.not_before).label("not_before"),
            func.max(Integration.open_until).label("open_until"),
        )
        .outerjoin(
            Integration,
            and_(
                Integration.user_id == Delivery.user_id,
                Integration.url_fingerprint == Delivery.target_key,
                Integration.is_active.is_(True),
                Integration.deleted_at.is_(None),
            ),
        )
        .where(is_sendable(sqlite=sqlite))
        .group_by(Delivery.id)
        .subquery()
    )
    return (
        select(
            serving.c.delivery_id,
            Integration.id,
            Integration.kind,
            Integration.apprise_url,
            User.locale,
            func.coalesce(
                or_(serving.c.open_until.is_not(None), serving.c.not_before > NOW), False
            ),
        )
        .outerjoin(Integration, Integration.id == serving.c.integration_id)
        .outerjoin(User, User.id == Integration.user_id)
    )
