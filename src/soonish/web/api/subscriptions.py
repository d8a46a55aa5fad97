"""The API of subscriptions: subscribe, choose, leave, an organizer's list, unsubscribe links."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from soonish.config import Settings
from soonish.domain.subscriptions import anonymous, confirmation, listing, service
from soonish.domain.subscriptions.anonymous import AnonymousRequest
from soonish.domain.subscriptions.listing import SubscriberFilter
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
from soonish.identity.signed_tokens import read_token
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import Page
from soonish.web.acting import ActingUser
from soonish.web.deps import (
    AskerDep,
    BrowserLanguage,
    CurrentUser,
    DbDep,
    OptionalUser,
    SettingsDep,
)
from soonish.web.params import CursorText, Limit, PersonSearch, RowId

router = APIRouter(tags=["subscriptions"])


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
        request = AnonymousRequest(event_id, wanted.email, wanted.name, locale, wanted.invitation)
        await anonymous.subscribe(db, asker, request, double_opt_in=settings.double_opt_in)
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
    query: PersonSearch = "",
    status: StatusFilter = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[SubscriberOut]:
    async with db.read() as session:
        return await listing.subscribers(
            session, event_id, user, SubscriberFilter(query, status), limit=limit, cursor=cursor
        )


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
    async with db.read() as session:
        return await listing.of_user(session, user, settings, limit=limit, cursor=cursor)


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


def subscription_out(own: service.SubscriptionDetails) -> SubscriptionOut:
    return SubscriptionOut(
        subscription_id=own.subscription.id,
        status=own.subscription.status,
        selectors=[SelectorOut.model_validate(one) for one in own.selectors],
        warnings=own.warnings,
    )


async def _unsubscribe(token: str, db: Database, settings: Settings) -> None:
    now = utc_now()
    claims = read_token(settings.secret_key, "unsubscribe", token, now)
    async with db.write() as session:
        await service.unsubscribe(session, claims, now)
