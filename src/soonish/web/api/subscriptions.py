"""The API of subscriptions: subscribe, choose, leave, an organizer's list, unsubscribe links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import PlainTextResponse

from soonish.config import Settings
from soonish.domain.access import policy
from soonish.domain.accounts.limits import may_mail
from soonish.domain.events import queries as events
from soonish.domain.subscriptions import confirmation, listing, queries, service
from soonish.domain.subscriptions.schemas import (
    Accepted,
    Confirmed,
    OwnSubscription,
    SelectionPatch,
    SelectorOut,
    SubscribeInput,
    SubscriberOut,
    SubscriptionOut,
    TokenInput,
    Unsubscribed,
)
from soonish.errors import Unauthorized
from soonish.identity.addresses import normalise
from soonish.identity.signed_tokens import read_token
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database, Session
from soonish.infra.db.types import utc_now
from soonish.infra.rate_limits.limits import SUBSCRIBE, Meter
from soonish.kit.paging import id_cursor, page
from soonish.kit.schemas import Page, Text
from soonish.web.acting import ActingUser
from soonish.web.api.events import event_out
from soonish.web.deps import (
    BrowserLanguage,
    ClientDep,
    CurrentUser,
    DbDep,
    OptionalUser,
    SettingsDep,
)
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(tags=["subscriptions"])


@dataclass(frozen=True)
class Asker:
    """Who asks for an address that may be anybody's: only the client can be held to limits."""

    meter: Meter
    client: str


async def get_asker(meter: MeterDep, client: ClientDep) -> Asker:
    return Asker(meter, client)


AskerDep = Annotated[Asker, Depends(get_asker)]

SearchText = Annotated[Text, Query(max_length=320)]
StatusFilter = Annotated[Literal["active", "pending_approval"] | None, Query()]


@router.post(
    "/api/events/{event_id}/subscribe",
    status_code=201,
    responses={200: {"model": SubscriptionOut, "description": "Subscribed already"}},
)
async def subscribe(
    event_id: RowId,
    wanted: SubscribeInput,
    user: OptionalUser,
    db: DbDep,
    settings: SettingsDep,
    locale: BrowserLanguage,
    asker: AskerDep,
    response: Response,
) -> Accepted | SubscriptionOut:
    if wanted.email is not None:
        await subscribe_address(
            db, settings, asker, event_id, wanted.email, wanted.name, locale, wanted.invitation
        )
        return Accepted()
    if user is None:
        raise Unauthorized("Sign in, or subscribe with an email address.")
    async with db.write() as session:
        own = await service.subscribe_user(
            session, event_id, user, wanted, utc_now(), invitation=wanted.invitation
        )
    response.status_code = 201 if own.is_new else 200
    return subscription_out(own)


@router.get("/api/events/{event_id}/subscribe")
async def get_own(event_id: RowId, user: ActingUser, db: DbDep) -> SubscriptionOut:
    async with db.read() as session:
        return subscription_out(await service.get_own(session, event_id, user))


@router.patch("/api/events/{event_id}/subscribe")
async def choose(
    event_id: RowId, wanted: SelectionPatch, user: CurrentUser, db: DbDep
) -> SubscriptionOut:
    async with db.write() as session:
        own = await service.update_selectors(session, event_id, user, wanted, utc_now())
    return subscription_out(own)


@router.delete("/api/events/{event_id}/subscribe", status_code=204)
async def leave(event_id: RowId, user: ActingUser, db: DbDep) -> None:
    async with db.write() as session:
        await service.unsubscribe_user(session, event_id, user, utc_now())


@router.get("/api/events/{event_id}/subscriptions")
async def list_subscribers(
    event_id: RowId,
    user: CurrentUser,
    db: DbDep,
    query: SearchText = "",
    status: StatusFilter = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[SubscriberOut]:
    async with db.read() as session:
        event = await policy.require_organizer(session, event_id, user)
        rows = await listing.subscribers(
            session,
            event,
            query=query,
            status=status,
            limit=limit + 1,
            before_id=id_cursor(cursor),
        )
    shown, following = page(rows, limit, lambda one: one.subscription.id)
    return Page(items=[subscriber_out(one) for one in shown], next_cursor=following)


@router.delete("/api/events/{event_id}/subscriptions/{subscription_id}", status_code=204)
async def remove(
    event_id: RowId,
    subscription_id: RowId,
    user: CurrentUser,
    db: DbDep,
    notify_others: bool = False,
) -> None:
    async with db.write() as session:
        await service.remove(
            session, event_id, user, subscription_id, utc_now(), notify_others=notify_others
        )


@router.get("/api/users/me/subscriptions")
async def list_own(
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[OwnSubscription]:
    before = id_cursor(cursor)
    async with db.read() as session:
        rows = await listing.of_user(session, user, limit + 1, before)
        shown, following = page(rows, limit, lambda row: row[0].id)
        items = await _own_out(session, shown, settings)
    return Page(items=items, next_cursor=following)


@router.post("/api/confirm")
async def confirm(wanted: TokenInput, db: DbDep) -> Confirmed:
    async with db.write() as session:
        _, status = await confirmation.confirm(session, wanted.token, utc_now())
    return Confirmed.model_validate({"status": status})


@router.post("/api/unsubscribe")
async def unsubscribe(wanted: TokenInput, db: DbDep, settings: SettingsDep) -> Unsubscribed:
    await _unsubscribe(wanted.token, db, settings)
    return Unsubscribed()


@router.post("/u/{token}", response_class=PlainTextResponse)
async def one_click_unsubscribe(token: str, db: DbDep, settings: SettingsDep) -> PlainTextResponse:
    """RFC 8058: whatever the body says, without a cookie, without a redirect."""
    await _unsubscribe(token, db, settings)
    return PlainTextResponse("You are unsubscribed.\n")


async def subscribe_address(
    db: Database,
    settings: Settings,
    asker: Asker,
    event_id: int,
    address: str,
    name: str | None,
    locale: str | None,
    invitation: str | None = None,
) -> str | None:
    """The anonymous form, as ANONYMOUS_OPT_IN has it. Answer and errors as the service's.

    TooManyRequests beyond what a client may ask for. An address that has had enough mails is
    subscribed all the same, and not mailed about it.
    """
    await asker.meter.require(SUBSCRIBE, asker.client)
    address = normalise(address)
    muted = await _has_had_enough(db, asker.meter, event_id, address)
    async with db.write() as session:
        return await service.subscribe_address(
            session,
            event_id,
            address,
            name,
            utc_now(),
            double_opt_in=settings.double_opt_in,
            locale=locale,
            invitation=invitation,
            muted=muted,
        )


async def _has_had_enough(db: Database, meter: Meter, event_id: int, address: str) -> bool:
    """Count the mail that this causes, if it does, by the address. Whether it must not be sent."""
    if not meter.enabled:
        return False
    async with db.read() as session:
        is_told = await service.would_mail(session, event_id, address, utc_now())
    return is_told and not await may_mail(meter, address)


def subscription_out(own: service.SubscriptionDetails) -> SubscriptionOut:
    return SubscriptionOut(
        subscription_id=own.subscription.id,
        status=own.subscription.status,
        selectors=[SelectorOut.model_validate(one) for one in own.selectors],
        warnings=own.warnings,
    )


async def _own_out(
    session: Session, rows: Sequence[tuple[Subscription, Event]], settings: Settings
) -> list[OwnSubscription]:
    selectors = await queries.selectors_of(session, [one.id for one, _ in rows])
    found = await events.details(session, [event for _, event in rows])
    return [
        OwnSubscription(
            subscription_id=one.id,
            status=one.status,
            selectors=[SelectorOut.model_validate(s) for s in selectors[one.id]],
            created_at=one.created_at,
            event=event_out(event, settings),
        )
        for (one, _), event in zip(rows, found, strict=True)
    ]


def subscriber_out(one: listing.Subscriber) -> SubscriberOut:
    return SubscriberOut(
        id=one.subscription.id,
        name=one.name,
        address=one.address,
        status=one.subscription.status,
        channels=one.channels,
        created_at=one.subscription.created_at,
    )


async def _unsubscribe(token: str, db: Database, settings: Settings) -> None:
    now = utc_now()
    claims = read_token(settings.secret_key, "unsubscribe", token, now)
    async with db.write() as session:
        await service.unsubscribe(session, claims, now)
