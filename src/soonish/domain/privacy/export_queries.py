"""Read the data held about a person, page by page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.routing import MAIL
from soonish.domain.events import queries
from soonish.domain.privacy.export_schemas import (
    AddressClaimData,
    ApiTokenData,
    CoOrganizedData,
    DeliveryData,
    EventData,
    IdentityData,
    IntegrationData,
    InvitationData,
    MailedLinkData,
    SessionData,
    SubscriptionData,
)
from soonish.infra.audit.schemas import AuditEntryOut
from soonish.infra.db.models.accounts import ApiToken, OidcIdentity, Registration, Session, Token
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.models.events import Event, EventOrganizer, EventUpdate, Invitation
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, DeliveryAttempt, Notification
from soonish.infra.db.models.reminders import RemindMe
from soonish.infra.db.models.subscriptions import Subscription, SubscriptionSelector
from soonish.infra.db.sql import id_list
from soonish.kit.schemas import Output

PAGE = 200
Items = Sequence[tuple[int, Output]]  # by the id to continue after
Read = Callable[[AsyncSession, int, int], Awaitable[Items]]  # session, user_id, after_id


def _plain(table: type[Any], made: type[Output], owner: Any) -> Read:
    """Return a section whose items are the columns of a table's rows."""

    async def read(session: AsyncSession, user_id: int, after_id: int) -> Items:
        rows = await session.scalars(_page(select(table), table.id, owner == user_id, after_id))
        return [(row.id, made.model_validate(row)) for row in rows]

    return read


def _page(query: Any, key: Any, mine: ColumnElement[bool], after_id: int) -> Any:
    return query.where(mine, key > after_id).order_by(key).limit(PAGE)


def _values(row: Any, **more: Any) -> dict[str, Any]:
    """Return the columns of a row, and values from other tables."""
    return {name: getattr(row, name) for name in sorted(row.__table__.columns.keys())} | more


async def _claims(session: AsyncSession, user_id: int, after_id: int) -> Items:
    mine = or_(Registration.user_id == user_id, Registration.claimant_user_id == user_id)
    rows = await session.scalars(_page(select(Registration), Registration.id, mine, after_id))
    kinds = {True: "new_address", False: "registration"}
    return [
        (row.id, AddressClaimData.model_validate(_values(row, kind=kinds[row.user_id != user_id])))
        for row in rows
    ]


async def _events(session: AsyncSession, user_id: int, after_id: int) -> Items:
    query = _page(select(Event), Event.id, Event.owner_user_id == user_id, after_id)
    rows = (await session.scalars(query)).all()
    ids = [row.id for row in rows]
    updates = await _by(session, EventUpdate, EventUpdate.event_id, ids)
    messages = await _by(session, Notification, Notification.event_id, ids)
    return [
        (
            one.event.id,
            EventData.model_validate(
                _values(
                    one.event,
                    tags=one.tags,
                    subscriber_count=one.subscriber_count,
                    updates=updates[one.event.id],
                    messages=messages[one.event.id],
                )
            ),
        )
        for one in await queries.details(session, rows)
    ]


async def _subscriptions(session: AsyncSession, user_id: int, after_id: int) -> Items:
    found = await _with_event(session, Subscription, Subscription.user_id == user_id, after_id)
    ids = [row.id for row, _ in found]
    selectors = await _by(session, SubscriptionSelector, SubscriptionSelector.subscription_id, ids)
    remind_mes = await _by(session, RemindMe, RemindMe.subscription_id, ids)
    return [
        (
            row.id,
            SubscriptionData.model_validate(
                _values(
                    row,
                    event_name=name,
                    selectors=selectors[row.id],
                    remind_mes=remind_mes[row.id],
                )
            ),
        )
        for row, name in found
    ]


async def _co_organized(session: AsyncSession, user_id: int, after_id: int) -> Items:
    found = await _with_event(session, EventOrganizer, EventOrganizer.user_id == user_id, after_id)
    return [(r.id, CoOrganizedData.model_validate(_values(r, event_name=n))) for r, n in found]


async def _invitations(session: AsyncSession, user_id: int, after_id: int) -> Items:
    found = await _with_event(session, Invitation, Invitation.user_id == user_id, after_id)
    return [(r.id, InvitationData.model_validate(_values(r, event_name=n))) for r, n in found]


async def _deliveries(session: AsyncSession, user_id: int, after_id: int) -> Items:
    query = select(Delivery, Notification).join(
        Notification, Notification.id == Delivery.notification_id
    )
    query = _page(query, Delivery.id, Delivery.user_id == user_id, after_id)
    found: list[Any] = list(await session.execute(query))
    tries = await _by(
        session, DeliveryAttempt, DeliveryAttempt.delivery_id, [row.id for row, _ in found]
    )
    return [
        (
            row.id,
            DeliveryData.model_validate(
                _values(
                    row,
                    event_id=notification.event_id,
                    kind=notification.kind,
                    title=notification.title,
                    via=MAIL if row.target_key == MAIL else "channel",
                    tries=tries[row.id],
                )
            ),
        )
        for row, notification in found
    ]


async def _with_event(
    session: AsyncSession, table: type[Any], mine: ColumnElement[bool], after_id: int
) -> list[tuple[Any, str]]:
    query = select(table, Event.name).join(Event, Event.id == table.event_id)
    rows: Any = await session.execute(_page(query, table.id, mine, after_id))
    return list(rows)


async def _by(
    session: AsyncSession, table: type[Any], key: Any, ids: Sequence[int]
) -> dict[int, list[Any]]:
    """Return the table's rows for these ids, grouped by id, oldest first."""
    made: dict[int, list[Any]] = defaultdict(list)
    query = select(table).where(key.in_(id_list(session, ids))).order_by(table.id)
    for row in await session.scalars(query):
        made[getattr(row, key.key)].append(row)
    return made


SECTIONS: dict[str, Read] = {
    "sessions": _plain(Session, SessionData, Session.user_id),
    "api_tokens": _plain(ApiToken, ApiTokenData, ApiToken.user_id),
    "identities": _plain(OidcIdentity, IdentityData, OidcIdentity.user_id),
    "mailed_links": _plain(Token, MailedLinkData, Token.user_id),
    "address_claims": _claims,
    "integrations": _plain(Integration, IntegrationData, Integration.user_id),
    "events": _events,
    "co_organized_events": _co_organized,
    "subscriptions": _subscriptions,
    "invitations": _invitations,
    "deliveries": _deliveries,
    "audit": _plain(AuditEntry, AuditEntryOut, AuditEntry.actor_user_id),
}
