"""The page that asks before an account is erased."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.domain.accounts.principal import SessionAccess
from soonish.domain.accounts.schemas import ErasureInput
from soonish.domain.privacy import erasure
from soonish.errors import SoonishError
from soonish.web import cookies
from soonish.web.deps import CurrentSession, DbDep, LoginGuardDep, SettingsDep
from soonish.web.rendering.forms import Form, parse, read_form
from soonish.web.rendering.templating import redirect, render

router = APIRouter(include_in_schema=False)


@router.get("/account/erase")
async def ask_to_erase(request: Request, access: CurrentSession) -> Response:
    return _page(request, access, Form())


@router.post("/account/erase")
async def erase(
    request: Request,
    db: DbDep,
    settings: SettingsDep,
    guard: LoginGuardDep,
    access: CurrentSession,
) -> Response:
    form = await read_form(request)
    response = redirect("/", "erased")
    try:
        wanted = parse(ErasureInput, {"current_password": form.secret("current_password")})
        await erasure.erase_account(db, guard, access, wanted.current_password)
    except SoonishError as error:
        return _page(request, access, form.failed(error), error.status)
    cookies.clear_session(response, settings)
    return response


def _page(request: Request, access: SessionAccess, form: Form, status: int = 200) -> Response:
    return render(
        request,
        "accounts/erase.html",
        status=status,
        user=access.user,
        has_password=access.user.password_hash is not None,
        form=form,
    )
