"""The page of a user's channels."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.domain.integrations import queries, service, testing
from soonish.domain.integrations.schemas import IntegrationOut, IntegrationPatch
from soonish.infra.db.types import utc_now
from soonish.web.deps import CurrentUser, DbDep, SettingsDep, TesterDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.params import MAX_PAGE, RowId
from soonish.web.rendering.forms import read_form
from soonish.web.rendering.templating import is_htmx, redirect, render

router = APIRouter(prefix="/integrations", include_in_schema=False)


@router.get("")
async def channels(request: Request, user: CurrentUser, db: DbDep) -> Response:
    async with db.read() as session:
        found = await queries.list_own(session, user, limit=MAX_PAGE)
    return render(request, "integrations/page.html", user=user, integrations=found.items)


@router.post("/{integration_id}/test")
async def test(
    request: Request,
    integration_id: RowId,
    user: CurrentUser,
    db: DbDep,
    tester: TesterDep,
    meter: MeterDep,
) -> Response:
    tested = await testing.test(db, meter, tester, user, integration_id)
    if not is_htmx(request):
        return redirect("/integrations", "test_arrived" if tested.ok else "test_failed")
    async with db.read() as session:
        row = await queries.require_own(session, user, integration_id)
    shown = IntegrationOut.of(row, utc_now())
    return render(request, "integrations/card.html", user=user, integration=shown, tested=tested)


@router.post("/{integration_id}/switch")
async def switch(
    request: Request, integration_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """Switch the channel on or off."""
    form = await read_form(request)
    wanted = IntegrationPatch(is_active=form.value("is_active") == "1")
    row = await testing.update(db, settings, user, integration_id, wanted)
    if not is_htmx(request):
        return redirect("/integrations", "integration_saved")
    shown = IntegrationOut.of(row, utc_now())
    return render(request, "integrations/card.html", user=user, integration=shown)


@router.post("/{integration_id}/delete")
async def delete(integration_id: RowId, user: CurrentUser, db: DbDep) -> Response:
    async with db.write() as session:
        await service.delete(session, user, integration_id, utc_now())
    return redirect("/integrations", "integration_deleted")
