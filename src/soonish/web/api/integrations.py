"""The API of a user's channels. Sends happen here, outside of any transaction.

See docs/architecture.md#the-straight-path.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from soonish.config import Settings
from soonish.delivery.transports.apprise.urls import ChannelInfo, check_url
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.delivery.transports.sender import Sender
from soonish.domain.integrations import queries, service
from soonish.domain.integrations.schemas import (
    IntegrationCreate,
    IntegrationCreated,
    IntegrationOut,
    IntegrationPatch,
    Verification,
)
from soonish.i18n import _
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.rate_limits.limits import CHANNEL_TEST
from soonish.kit.paging import id_cursor, page
from soonish.kit.schemas import Page
from soonish.web.deps import CurrentUser, DbDep, SettingsDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api/integrations", tags=["integrations"])


async def get_sender(request: Request) -> Sender:
    return request.app.state.soonish.sender


SenderDep = Annotated[Sender, Depends(get_sender)]


@router.post("", status_code=201)
async def create(
    wanted: IntegrationCreate,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    sender: SenderDep,
) -> IntegrationCreated:
    channel = await _checked(wanted.apprise_url, settings)
    async with db.write() as session:
        integration = await service.create(session, user, wanted, channel)
    if not wanted.verify:
        return IntegrationCreated.after(integration, utc_now(), None)
    result = await send_test(sender, integration, settings, user.locale)
    async with db.write() as session:
        integration = await service.record_test(
            session, user, integration.id, result, utc_now(), decides=True
        )
    return IntegrationCreated.after(integration, utc_now(), result)


@router.get("")
async def list_own(
    user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[IntegrationOut]:
    async with db.read() as session:
        rows = await service.list_integrations(session, user, limit + 1, id_cursor(cursor))
    shown, following = page(rows, limit, lambda row: row.id)
    items = [IntegrationOut.of(row, utc_now()) for row in shown]
    return Page(items=items, next_cursor=following)


@router.get("/{integration_id}")
async def get(integration_id: RowId, user: CurrentUser, db: DbDep) -> IntegrationOut:
    return IntegrationOut.of(await _load(db, user, integration_id), utc_now())


@router.patch("/{integration_id}")
async def update(
    integration_id: RowId,
    wanted: IntegrationPatch,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
) -> IntegrationOut:
    await _load(db, user, integration_id)
    has_url = "apprise_url" in wanted.model_fields_set
    channel = await _checked(wanted.apprise_url, settings) if has_url else None
    async with db.write() as session:
        integration = await service.update(session, user, integration_id, wanted, channel)
    return IntegrationOut.of(integration, utc_now())


@router.delete("/{integration_id}", status_code=204)
async def delete(integration_id: RowId, user: CurrentUser, db: DbDep) -> None:
    async with db.write() as session:
        await service.delete(session, user, integration_id, utc_now())


@router.post("/{integration_id}/test")
async def test(
    integration_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    sender: SenderDep,
    meter: MeterDep,
) -> Verification:
    integration = await _load(db, user, integration_id)
    await meter.require(CHANNEL_TEST, str(user.id))
    result = await send_test(sender, integration, settings, user.locale)
    async with db.write() as session:
        await service.record_test(session, user, integration_id, result, utc_now())
    return Verification.of(result)


async def send_test(
    sender: Sender, integration: Integration, settings: Settings, locale: str | None
) -> SendResult:
    """One attempt at the test message; up to 15 s. Outside of any transaction."""
    if integration.apprise_url is None:
        return SendResult(Outcome.CHANNEL_GONE, _("The channel was deleted"))
    message = service.test_message(integration.name, settings.base_url, locale)
    return await sender.send(integration.apprise_url, message)


async def try_out(
    url: str,
    name: str,
    user: CurrentUser,
    settings: SettingsDep,
    sender: SenderDep,
    meter: MeterDep,
) -> Verification:
    """One attempt at the test message to a URL that is not kept. Errors as create, and
    TooManyRequests as test."""
    await _checked(url, settings)
    await meter.require(CHANNEL_TEST, str(user.id))
    message = service.test_message(name, settings.base_url, user.locale)
    return Verification.of(await sender.send(url, message))


async def _load(db: Database, user: CurrentUser, integration_id: int) -> Integration:
    async with db.read() as session:
        return await queries.require_own(session, user, integration_id)


async def _checked(url: str, settings: Settings) -> ChannelInfo:
    # a thread, because Apprise may take a good part of a second over a hostile URL
    return await asyncio.to_thread(check_url, url, settings)
