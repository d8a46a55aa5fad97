"""The page of a user's channels."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.db.types import utc_now
from soonish.deps import CurrentUser, DbDep, SettingsDep
from soonish.errors import SoonishError
from soonish.integrations import api, service
from soonish.integrations.api import SenderDep, TestWindow
from soonish.integrations.schemas import IntegrationCreate, IntegrationPatch
from soonish.schemas import MAX_PAGE, RowId
from soonish.web.forms import Form, parse, read_form
from soonish.web.templating import is_htmx, redirect, render

router = APIRouter(prefix="/integrations", include_in_schema=False)


@router.get("")
async def channels(request: Request, user: CurrentUser, db: DbDep) -> Response:
    return await _page(request, user, db, Form())


@router.post("")
async def add(
    request: Request, user: CurrentUser, db: DbDep, settings: SettingsDep, sender: SenderDep
) -> Response:
    """Add a channel by its Apprise URL; a test message decides whether it is switched on."""
    form = await read_form(request)
    try:
        names = ("name", "tag", "apprise_url")
        wanted = parse(IntegrationCreate, {name: form.value(name) for name in names})
        made = await api.create(wanted, user, db, settings, sender)
    except SoonishError as error:
        return await _page(request, user, db, form.failed(error), error.status)
    return redirect("/integrations", _after(made.is_active, "integration_added"))


@router.post("/{integration_id}/test")
async def test(
    request: Request,
    integration_id: RowId,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    sender: SenderDep,
    window: TestWindow,
) -> Response:
    tested = await api.test(integration_id, user, db, settings, sender, window)
    if not is_htmx(request):
        return redirect("/integrations", "test_arrived" if tested.ok else "test_failed")
    shown = await api.get(integration_id, user, db)
    return render(request, "integrations/card.html", user=user, integration=shown, tested=tested)


@router.post("/{integration_id}/switch")
async def switch(
    request: Request, integration_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """Switch the channel on or off."""
    form = await read_form(request)
    wanted = IntegrationPatch(is_active=form.value("is_active") == "1")
    shown = await api.update(integration_id, wanted, user, db, settings)
    if not is_htmx(request):
        return redirect("/integrations", "integration_saved")
    return render(request, "integrations/card.html", user=user, integration=shown)


@router.post("/{integration_id}/delete")
async def delete(integration_id: RowId, user: CurrentUser, db: DbDep) -> Response:
    async with db.write() as session:
        await service.delete(session, user, integration_id, utc_now())
    return redirect("/integrations", "integration_deleted")


def _after(worked: bool, notice: str) -> str:
    return notice if worked else "integration_failed"


async def _page(
    request: Request, user: CurrentUser, db: DbDep, form: Form, status: int = 200
) -> Response:
    found = await api.list_own(user, db, limit=MAX_PAGE)
    return render(
        request,
        "integrations/page.html",
        status=status,
        user=user,
        integrations=found.items,
        form=form,
    )
