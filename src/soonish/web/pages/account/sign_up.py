"""Pages that end with a mail: register, a link that signs in, a forgotten password."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.domain.accounts import sign_in
from soonish.domain.accounts.oidc import provider_name
from soonish.domain.accounts.schemas import EmailInput, RegisterInput
from soonish.errors import SoonishError
from soonish.web import cookies
from soonish.web.deps import BrowserLanguage, DbDep, SettingsDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.pages.account.sign_in import login_page
from soonish.web.rendering.forms import Form, parse, read_form
from soonish.web.rendering.templating import render

router = APIRouter(include_in_schema=False)


@router.get("/register")
async def register_form(request: Request, settings: SettingsDep) -> Response:
    return _register_page(request, settings, Form())


@router.post("/register")
async def register(
    request: Request,
    db: DbDep,
    settings: SettingsDep,
    meter: MeterDep,
    locale: BrowserLanguage,
) -> Response:
    form = await read_form(request)
    try:
        password = form.secret("password") or None
        values = {"email": form.value("email"), "name": form.optional("name"), "password": password}
        wanted = parse(RegisterInput, values)
        token = await sign_in.register(db, meter, **wanted.model_dump(), locale=locale)
    except SoonishError as error:
        return _register_page(request, settings, form.failed(error), error.status)
    response = _sent_page(request, settings, "register")
    cookies.set_register(response, settings, token)
    return response


@router.get("/forgot")
async def forgot_form(request: Request) -> Response:
    return render(request, "accounts/forgot.html", user=None, form=Form())


@router.post("/forgot")
async def forgot(request: Request, db: DbDep, settings: SettingsDep, meter: MeterDep) -> Response:
    form = await read_form(request)
    try:
        wanted = parse(EmailInput, {"email": form.value("email")})
        await sign_in.send_password_reset(db, meter, email=wanted.email)
    except SoonishError as error:
        return render(
            request,
            "accounts/forgot.html",
            status=error.status,
            user=None,
            form=form.failed(error),
        )
    return _sent_page(request, settings, "forgot")


@router.post("/magic-link")
async def magic_link(
    request: Request, db: DbDep, settings: SettingsDep, meter: MeterDep
) -> Response:
    form = await read_form(request)
    try:
        wanted = parse(EmailInput, {"email": form.value("email")})
        await sign_in.send_magic_link(db, meter, email=wanted.email)
    except SoonishError as error:
        return login_page(request, settings, form.failed(error), status=error.status)
    return _sent_page(request, settings, "magic_link")


def _register_page(
    request: Request, settings: SettingsDep, form: Form, status: int = 200
) -> Response:
    return render(
        request,
        "accounts/register.html",
        status=status,
        user=None,
        form=form,
        provider=provider_name(settings),
    )


def _sent_page(request: Request, settings: SettingsDep, kind: str) -> Response:
    """Render the same page for every address, so that it does not tell which are known."""
    catcher = settings.uses_mail_catcher and not settings.production
    return render(request, "accounts/sent.html", user=None, kind=kind, catcher=catcher)
