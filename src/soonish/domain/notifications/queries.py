"""Read notifications: lists with their counts by state, and the ledger by recipient."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.routing import MAIL
from soonish.delivery.texts.content import Content, EventFacts
from soonish.delivery.texts.events import EVENT_KINDS, event_draft
from soonish.delivery.texts.safe_text import one_line
from soonish.domain.access import policy
from soonish.domain.notifications.schemas import Counts, NotificationOut
from soonish.i18n import language
from soonish.identity.users import name_or_address_matches
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.infra.db.models.subscriptions import ACTIVE, Subscription
from soonish.infra.db.sql import id_list, newest_page
from soonish.kit.paging import id_cursor, page
from soonish.kit.schemas import Page

_channel = case((Delivery.target_key == MAIL, MAIL), else_=Integration.kind)


@dataclass(frozen=True)
class NotificationWithCounts:
    """A notification with the number of its deliveries by state, zero counts omitted."""

    notification: Notification
    counts: dict[str, int]


@dataclass(frozen=True)
class DeliveryFilter:
    """Filters of a ledger: these states (all if none are given), this kind of channel, and
    recipients whose name contains `text` or whose address equals it."""

    states: Collection[DeliveryState] = ()
    channel: str | None = None
    text: str = ""


@dataclass(frozen=True)
class DeliveryRow:
    """A ledger row with its recipient and the kind of its channel (`mail`, ..., or None)."""

    delivery: Delivery
    name: str | None
    address: str | None
    channel: str | None


async def list_of_event(
    session: AsyncSession, event_id: int, user: User, *, limit: int, cursor: str | None = None
) -> Page[NotificationOut]:
    """Return a page of the event's notifications for its organizers, newest first."""
    event = await policy.require_organizer(session, event_id, user)
    query = select(Notification).where(Notification.event_id == event.id)
    rows, following = await newest_page(session, query, Notification, limit, cursor)
    items = [_out(event, one) for one in await with_counts(session, rows)]
    return Page(items=items, next_cursor=following)


@dataclass(frozen=True)
class NotificationDetail:
    """A notification as the API shows it, with the body an organizer wrote."""

    shown: NotificationOut
    body: str | None


async def detail(
    session: AsyncSession, event_id: int, notification_id: int, user: User
) -> NotificationDetail:
    """Return one notification for the event's organizers. Raise as policy.require_notification."""
    event, row = await policy.require_notification(session, event_id, notification_id, user)
    (found,) = await with_counts(session, [row])
    return NotificationDetail(_out(event, found), row.body if row.kind == "manual" else None)


async def unfinished_ids(session: AsyncSession, event_id: int, user: User, limit: int) -> list[int]:
    """Return the event's incomplete notifications for its organizers, newest first."""
    event = await policy.require_organizer(session, event_id, user)
    query = select(Notification.id).where(
        Notification.event_id == event.id, Notification.completed_at.is_(None)
    )
    return list(await session.scalars(query.order_by(Notification.id.desc()).limit(limit)))


async def with_counts(
    session: AsyncSession, rows: Sequence[Notification]
) -> list[NotificationWithCounts]:
    """Return the notifications with their counts, in the same order, in one query."""
    ids = id_list(session, [row.id for row in rows])
    totals = await session.execute(
        select(Delivery.notification_id, Delivery.state, func.count())
        .where(Delivery.notification_id.in_(ids))
        .group_by(Delivery.notification_id, Delivery.state)
    )
    counts: dict[int, dict[str, int]] = {row.id: {} for row in rows}
    for notification_id, state, count in totals:
        counts[notification_id][state] = count
    return [NotificationWithCounts(row, counts[row.id]) for row in rows]


async def list_deliveries(
    session: AsyncSession,
    event_id: int,
    notification_id: int,
    user: User,
    wanted: DeliveryFilter,
    *,
    limit: int,
    cursor: str | None,
) -> tuple[list[DeliveryRow], str | None]:
    """Return a page of the ledger in its order for the event's organizers, and its next_cursor."""
    _, row = await policy.require_notification(session, event_id, notification_id, user)
    query = _recipients().where(Delivery.notification_id == row.id, *_conditions(wanted))
    if (after := id_cursor(cursor)) is not None:
        query = query.where(Delivery.id > after)
    rows = (await session.execute(query.order_by(Delivery.id).limit(limit + 1))).all()
    shown, following = page(rows, limit, lambda row: row[0].id)
    return [DeliveryRow(*row) for row in shown], following


def _conditions(wanted: DeliveryFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.states:
        yield Delivery.state.in_(wanted.states)
    if wanted.channel:
        yield _channel == wanted.channel
    if wanted.text.strip():
        yield name_or_address_matches(wanted.text)


async def audience_size(session: AsyncSession, notification: Notification) -> int:
    """Return the number of subscriptions a manual notification was requested for."""
    then = notification.created_at
    query = select(func.count()).where(
        Subscription.event_id == notification.event_id,
        Subscription.status == ACTIVE,
        Subscription.created_at <= then,
        or_(Subscription.ended_at.is_(None), Subscription.ended_at > then),
    )
    if notification.audience is not None:
        query = query.where(Subscription.id.in_(id_list(session, notification.audience)))
    return await session.scalar(query) or 0


def title_of(event: Event, notification: Notification) -> str:
    """Return the title in English: the organizer's own, or that of its kind."""
    kind = notification.kind
    if kind not in EVENT_KINDS or (kind == "manual" and notification.title):
        return notification.title or kind
    stored = {**(notification.content or {}), "facts": None, "kind": kind}
    return one_line(event_draft(Content.from_json(stored), _facts(event), language("en")).title)


def _out(event: Event, found: NotificationWithCounts) -> NotificationOut:
    row = found.notification
    return NotificationOut(
        id=row.id,
        kind=row.kind,
        title=title_of(event, row),
        created_at=row.created_at,
        completed_at=row.completed_at,
        counts=Counts(**found.counts),
    )


def _facts(event: Event) -> EventFacts:
    """Return the facts a title needs."""
    return EventFacts(
        name=event.name,
        start=event.start_date,
        end=event.end_date,
        timezone=event.timezone,
        location=None,
        contact=None,
        organizer_name=None,
        description=None,
        url="",
    )


async def channels_of(
    session: AsyncSession, event_id: int, notification_id: int, user: User
) -> list[str]:
    """Return the kinds of channels a notification went to, sorted, for the event's organizers."""
    _, row = await policy.require_notification(session, event_id, notification_id, user)
    query = (
        select(_channel)
        .select_from(Delivery)
        .outerjoin(Integration, Integration.id == Delivery.integration_id)
        .where(Delivery.notification_id == row.id, _channel.is_not(None))
    )
    return sorted(await session.scalars(query.distinct()))


def _recipients() -> Select[Delivery, str | None, str | None, str | None]:
    return (
        select(Delivery, User.name, User.email, _channel)
        .join(User, User.id == Delivery.user_id)
        .outerjoin(Integration, Integration.id == Delivery.integration_id)
    )
