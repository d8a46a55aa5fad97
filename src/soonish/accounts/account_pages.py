"""`/account`: profile, password, API tokens, sessions and logins. All of it needs a session."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.accounts import api, api_tokens_api, identities
from soonish.accounts.schemas import ApiTokenInput, NewApiTokenOut, ProfileInput
from soonish.db.types import utc_now
from soonish.deps import BrowserDep, CurrentSession, DbDep, LoginGuardDep, SettingsDep
from soonish.errors import FieldError, InvalidInput, NotFound, SoonishError
from soonish.events.event_forms import timezones
from soonish.events.organizer import PAGE_SIZE
from soonish.schemas import MAX_PAGE, RowId
from soonish.web.forms import Form, parse, read_form
from soonish.web.templating import redirect, render

router = APIRouter(prefix="/account", include_in_schema=False)
_TOKEN_FIELDS = {"name": "token_name", "scope": "token_scope", "expires_at": "token_days"}


@router.get("")
async def account(
    request: Request, db: DbDep, settings: SettingsDep, access: CurrentSession
) -> Response:
    return await _page(request, db, settings, access, Form())


@router.post("")
async def save_account(
    request: Request,
    db: DbDep,
    settings: SettingsDep,
    guard: LoginGuardDep,
    browser: BrowserDep,
    access: CurrentSession,
) -> Response:
    """The profile, or with `password` in the form a new password."""
    form = await read_form(request)
    is_password = "password" in form.names()
    response = redirect("/account", "password_set" if is_password else "profile_saved")
    try:
        wanted = parse(ProfileInput, _password(form) if is_password else _profile(form))
        await api.update_me(wanted, response, db, settings, guard, browser, access)
    except SoonishError as error:
        return await _page(request, db, settings, access, form.failed(error), error.status)
    return response


@router.post("/tokens")
async def make_token(
    request: Request, db: DbDep, settings: SettingsDep, access: CurrentSession
) -> Response:
    """The page once more, with the token: no redirect could show it, and nothing else will."""
    form = await read_form(request)
    try:
        wanted = parse(ApiTokenInput, _token(form))
        made = await api_tokens_api.make_token(wanted, db, access)
    except InvalidInput as error:
        named = [FieldError(_TOKEN_FIELDS.get(e.field, e.field), e.message) for e in error.errors]
        failed = form.failed(InvalidInput(errors=named))
        return await _page(request, db, settings, access, failed, error.status)
    except SoonishError as error:
        return await _page(request, db, settings, access, form.failed(error), error.status)
    return await _page(request, db, settings, access, Form(), 201, made)


@router.post("/tokens/{token_id}/revoke")
async def revoke_token(token_id: RowId, db: DbDep, access: CurrentSession) -> Response:
    await api_tokens_api.revoke_token(token_id, db, access)
    return redirect("/account", "token_revoked")


@router.post("/sessions/end-others")
async def end_other_sessions(db: DbDep, access: CurrentSession) -> Response:
    await api.end_other_sessions(db, access)
    return redirect("/account", "sessions_ended")


@router.post("/sessions/{session_id}/end")
async def end_session(session_id: RowId, db: DbDep, access: CurrentSession) -> Response:
    await api.end_session(session_id, db, access)
    return redirect("/account", "session_ended")


@router.post("/logins/{identity_id}/disconnect")
async def disconnect(identity_id: RowId, db: DbDep, access: CurrentSession) -> Response:
    async with db.write() as session:
        if not await identities.disconnect(session, access.user.id, identity_id):
            raise NotFound
    return redirect("/account", "login_disconnected")


def _profile(form: Form) -> dict[str, str | None]:
    return {"name": form.optional("name"), "timezone": form.optional("timezone")}


def _password(form: Form) -> dict[str, str]:
    current = form.secret("current_password")
    return {"password": form.secret("password")} | (
        {"current_password": current} if current else {}
    )


def _token(form: Form) -> dict[str, object]:
    """`token_days` is one of the page's choices; anything but digits is for ever."""
    days = form.numbers("token_days")
    until = utc_now() + timedelta(days=min(days[0], 3650)) if days else None
    return {
        "name": form.value("token_name"),
        "scope": form.value("token_scope"),
        "expires_at": until,
    }


async def _page(
    request: Request,
    db: DbDep,
    settings: SettingsDep,
    access: CurrentSession,
    form: Form,
    status: int = 200,
    made: NewApiTokenOut | None = None,
) -> Response:
    """`form` is the one that was sent; the page's other forms show what is saved."""
    user = access.user
    sessions = await api.list_sessions(db, settings, access, limit=PAGE_SIZE)
    tokens = await api_tokens_api.list_tokens(db, access, limit=MAX_PAGE)
    async with db.read() as session:
        logins = await identities.list_of(session, user.id)
    if "name" not in form.names():
        form.fill(name=user.name, timezone=user.timezone)
    return render(
        request,
        "accounts/account.html",
        status=status,
        user=user,
        has_password=user.password_hash is not None,
        form=form,
        sessions=sessions.items,
        tokens=tokens.items,
        made=made,
        logins=logins,
        now=utc_now(),
        timezones=timezones(form.value("timezone", "UTC")),
    )
