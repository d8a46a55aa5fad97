"""The API of a user's channels."""

from __future__ import annotations

from fastapi import APIRouter

from soonish.domain.integrations import queries, service, testing
from soonish.domain.integrations.schemas import (
    IntegrationCreate,
    IntegrationCreated,
    IntegrationOut,
    IntegrationPatch,
    Verification,
)
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import Page
from soonish.web.deps import CurrentUser, DbDep, SettingsDep, TesterDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api/integrations", tags=["integrations"])


@router.post("", status_code=201)
async def create(
    wanted: IntegrationCreate,
    user: CurrentUser,
    db: DbDep,
    tester: TesterDep,
) -> IntegrationCreated:
    return await testing.create(db, tester, user, wanted)


@router.get("")
async def list_own(
    user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[IntegrationOut]:
    async with db.read() as session:
        return await queries.list_own(session, user, limit=limit, cursor=cursor)


@router.get("/{integration_id}")
async def get(integration_id: RowId, user: CurrentUser, db: DbDep) -> IntegrationOut:
    async with db.read() as session:
        integration = await queries.require_own(session, user, integration_id)
    return IntegrationOut.of(integration, utc_now())


@router.patch("/{integration_id}")
async def update(
    integration_id: RowId,
    wanted: IntegrationPatch,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
) -> IntegrationOut:
    integration = await testing.update(db, settings, user, integration_id, wanted)
    return IntegrationOut.of(integration, utc_now())


@router.delete("/{integration_id}", status_code=204)
async def delete(integration_id: RowId, user: CurrentUser, db: DbDep) -> None:
    async with db.write() as session:
        await service.delete(session, user, integration_id, utc_now())


@router.post("/{integration_id}/test")
async def test(
    integration_id: RowId, user: CurrentUser, db: DbDep, tester: TesterDep, meter: MeterDep
) -> Verification:
    return await testing.test(db, meter, tester, user, integration_id)
