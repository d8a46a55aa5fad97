"""Sign-in pages and the dashboard."""

from __future__ import annotations

import re
from collections.abc import Collection

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.domain.accounts import claims, sign_in
from soonish.domain.accounts.claims import AccountClaim
from soonish.domain.accounts.oidc import provider_name
from soonish.domain.accounts.schemas import LoginInput, ResetInput, VerifyInput
from soonish.domain.events import dashboard as attention
from soonish.domain.events import queries as events
from soonish.domain.events.queries import EventFilter
from soonish.domain.events.schemas import EventOut
from soonish.domain.integrations import queries as integrations
from soonish.domain.subscriptions import listing as subscriptions
from soonish.errors import SoonishError
from soonish.identity import tokens
from soonish.identity.tokens import SIGN_IN, Purpose
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.web import cookies
from soonish.web.deps import (
    BrowserDep,
    CurrentSession,
    CurrentUser,
    DbDep,
    LoginGuardDep,
    OptionalUser,
    SettingsDep,
)
from soonish.web.pages.organizer.layout import PAGE_SIZE, next_url
from soonish.web.params import MAX_PAGE, CursorText
from soonish.web.rendering.forms import Form, parse, read_form
from soonish.web.rendering.templating import redirect, render

router = APIRouter(include_in_schema=False)

_OWN_PATH = re.compile(r"/(?![/\\])[^\x00-\x1f\\]{0,2000}")


def own_path(target: str) -> str:
    """`target` if it is a path of this site (never `//elsewhere`), else the dashboard."""
    return target if _OWN_PATH.fullmatch(target) else "/dashboard"


def login_page(
    request: Request, settings: Settings, form: Form, next: str = "", status: int = 200
) -> Response:
    """Render the sign-in page with the error, if any; `next` is the path to go to afterwards."""
    return render(
        request,
        "accounts/login.html",
        status=status,
        user=None,
        form=form,
        next=next,
        provider=provider_name(settings),
    )


@router.get("/login")
async def login_form(
    request: Request, settings: SettingsDep, user: OptionalUser, next: str = ""
) -> Response:
    if user:
        return redirect(own_path(next))
    return login_page(request, settings, Form(), next)


@router.post("/login")
async def login(
    request: Request, db: DbDep, settings: SettingsDep, guard: LoginGuardDep, browser: BrowserDep
) -> Response:
    form = await read_form(request)
    target = form.value("next")
    try:
        values = {"email": form.value("email"), "password": form.secret("password")}
        wanted = parse(LoginInput, values)
        made = await sign_in.log_in(
            db, settings, guard, browser, email=wanted.email, password=wanted.password
        )
    except SoonishError as error:
        return login_page(request, settings, form.failed(error), target, error.status)
    response = redirect(own_path(target))
    cookies.set_session(response, settings, made.token)
    return response


@router.post("/logout")
async def logout(db: DbDep, settings: SettingsDep, access: CurrentSession) -> Response:
    response = redirect("/", "signed_out")
    await sign_in.log_out(db, access)
    cookies.clear_session(response, settings)
    return response


@router.get("/verify")
async def ask_to_verify(
    request: Request, db: DbDep, settings: SettingsDep, browser: BrowserDep, token: str = ""
) -> Response:
    """One click, because mail programs and scanners open every link. Gone for a dead one."""
    await _require_usable(db, SIGN_IN, token)
    claim = await claims.find_claim(db, settings, browser, token)
    return _verify_page(request, Form(), token, claim)


@router.post("/verify")
async def verify(
    request: Request, db: DbDep, settings: SettingsDep, guard: LoginGuardDep, browser: BrowserDep
) -> Response:
    form = await read_form(request)
    claim = await claims.find_claim(db, settings, browser, form.value("token"))
    try:
        wanted = parse(VerifyInput, {"token": form.value("token")})
        await claims.require_claimant(guard, claim, form.secret("password"))
        made = await sign_in.verify(db, settings, browser, token=wanted.token)
    except SoonishError as error:
        return _verify_page(request, form.failed(error), form.value("token"), claim, error.status)
    response = redirect("/dashboard", "choose_password" if made.password_needed else "verified")
    cookies.clear_register(response, settings)
    cookies.set_session(response, settings, made.token)
    return response


@router.get("/reset")
async def reset_form(request: Request, db: DbDep, token: str = "") -> Response:
    """Show the form for a new password. Raise Gone for a dead link, before anything is typed."""
    await _require_usable(db, (Purpose.PASSWORD_RESET,), token)
    return _reset_page(request, Form(), token)


@router.post("/reset")
async def reset(request: Request, db: DbDep) -> Response:
    form = await read_form(request)
    token = form.value("token")
    try:
        wanted = parse(ResetInput, {"token": token, "password": form.secret("password")})
        await sign_in.reset_password(db, token=wanted.token, password=wanted.password)
    except SoonishError as error:
        return _reset_page(request, form.failed(error), token, error.status)
    return redirect("/login", "password_changed")


@router.get("/dashboard")
async def dashboard(
    request: Request,
    user: CurrentUser,
    db: DbDep,
    settings: SettingsDep,
    cursor: CursorText = None,
) -> Response:
    now = utc_now()
    async with db.read() as session:
        mine, following = await events.list_own(
            session, user.id, EventFilter(), limit=PAGE_SIZE, cursor=cursor
        )
        subscribed = await subscriptions.of_user(session, user, settings, limit=PAGE_SIZE)
        channels = await integrations.list_own(session, user, limit=MAX_PAGE)
        waiting = await attention.pending_approvals(session, user)
        failed = await attention.failed_messages(session, user, now)
        reminders = await attention.next_reminders(session, user, now)
    broken = [one for one in channels.items if not one.is_active or one.failing_since]
    return render(
        request,
        "accounts/dashboard.html",
        user=user,
        events=[EventOut.of(one, settings) for one in mine],
        subscriptions=subscribed.items,
        broken_channels=broken,
        has_channels=bool(channels.items),
        waiting=waiting,
        failed=failed,
        reminders=reminders,
        next_url=next_url("/dashboard", following),
    )


async def _require_usable(db: Database, purposes: Collection[str], token: str) -> None:
    if token:
        async with db.read() as session:
            await tokens.find(session, purposes, token)


def _verify_page(
    request: Request, form: Form, token: str, claim: AccountClaim | None, status: int = 200
) -> Response:
    return render(
        request, "accounts/verify.html", status=status, user=None, token_page=True, form=form,
        token=token, claim=claim,
    )  # fmt: skip


def _reset_page(request: Request, form: Form, token: str, status: int = 200) -> Response:
    return render(
        request, "accounts/reset.html", status=status, user=None, token_page=True, form=form,
        token=token,
    )  # fmt: skip
