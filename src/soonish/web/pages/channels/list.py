"""The page of a user's channels."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.domain.integrations import service
from soonish.domain.integrations.schemas import IntegrationPatch
from soonish.infra.db.types import utc_now
from soonish.web.api import integrations
from soonish.web.api.integrations import SenderDep
from soonish.web.deps import CurrentUser, DbDep, SettingsDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.params import MAX_PAGE, RowId
from soonish.web.rendering.forms import read_form
from soonish.web.rendering.templating import is_htmx, redirect, render

router = APIRouter(prefix="/integrations", include_in_schema=False)


@router.get("")
async def channels(request: Request, user: CurrentUser, db: DbDep) -> Response:
    found = await integrations.list_own(user, db, limit=MAX_PAGE)
    return render(request, "integrations/page.html", user=user, integrations=found.items)


@router.post("/{integration_id}/test")
async def test(
    request: Request,
    integration_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    sender: SenderDep,
    meter: MeterDep,
) -> Response:
    tested = await integrations.test(integration_id, user, db, settings, sender, meter)
    if not is_htmx(request):
        return redirect("/integrations", "test_arrived" if tested.ok else "test_failed")
    shown = await integrations.get(integration_id, user, db)
    return render(request, "integrations/card.html", user=user, integration=shown, tested=tested)


@router.post("/{integration_id}/switch")
async def switch(
    request: Request, integration_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """Switch the channel on or off."""
    form = await read_form(request)
    wanted = IntegrationPatch(is_active=form.value("is_active") == "1")
    shown = await integrations.update(integration_id, wanted, user, db, settings)
    if not is_htmx(request):
        return redirect("/integrations", "integration_saved")
    return render(request, "integrations/card.html", user=user, integration=shown)


@router.post("/{integration_id}/delete")
async def delete(integration_id: RowId, user: CurrentUser, db: DbDep) -> Response:
    async with db.write() as session:
        await service.delete(session, user, integration_id, utc_now())
    return redirect("/integrations", "integration_deleted")
