"""The account: profile, address, password, where one is signed in, tokens, what happened."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.domain.accounts import api_tokens, identities, profile, sessions
from soonish.domain.accounts.devices import device_name
from soonish.domain.accounts.password_rules import MIN_LENGTH
from soonish.domain.accounts.principal import SessionAccess
from soonish.domain.accounts.schemas import ApiTokenInput, NewApiTokenOut, ProfileInput
from soonish.errors import FieldError, InvalidInput, NotFound, SoonishError
from soonish.i18n import languages
from soonish.infra.audit import queries as audit
from soonish.infra.db.types import utc_now
from soonish.web import cookies
from soonish.web.deps import BrowserDep, CurrentSession, DbDep, LoginGuardDep, SettingsDep
from soonish.web.pages.organizer.event_form import timezones
from soonish.web.pages.organizer.layout import PAGE_SIZE, next_url
from soonish.web.params import MAX_PAGE, CursorText, RowId
from soonish.web.rendering.forms import Form, parse, read_form
from soonish.web.rendering.templating import redirect, render

_TOKEN_FIELDS = {"name": "token_name", "scope": "token_scope", "expires_at": "token_days"}
RECENT = 5  # entries of the audit log on the account page

router = APIRouter(prefix="/account", include_in_schema=False)


@router.get("")
async def account(
    request: Request, db: DbDep, settings: SettingsDep, access: CurrentSession
) -> Response:
    return await _page(request, db, settings, access, Form())


@router.post("")
async def save(
    request: Request,
    db: DbDep,
    settings: SettingsDep,
    guard: LoginGuardDep,
    browser: BrowserDep,
    access: CurrentSession,
) -> Response:
    """Save the profile, or the new `password` or `email` that the form has."""
    form = await read_form(request)
    values, notice = _wanted(form)
    response = redirect("/account", notice)
    try:
        wanted = parse(ProfileInput, values)
        updated = await profile.update(db, settings, guard, browser, access, wanted)
    except SoonishError as error:
        return await _page(request, db, settings, access, form.failed(error), error.status)
    if updated.new_token is not None:
        cookies.set_session(response, settings, updated.new_token)
    return response


def _wanted(form: Form) -> tuple[dict[str, str | None], str]:
    """Return the fields the posted form changes, and the name of the notice to show."""
    names = form.names()
    if "password" in names:
        current = form.secret("current_password")
        given = {"current_password": current} if current else {}
        return {"password": form.secret("password"), **given}, "password_set"
    if "email" in names:
        return {"email": form.value("email")}, "address_asked"
    plain = [name for name in ("name", "timezone", "locale") if name in names]
    return {name: form.optional(name) for name in plain}, "profile_saved"


@router.post("/sessions/end-others")
async def end_other_sessions(db: DbDep, access: CurrentSession) -> Response:
    async with db.write() as session:
        await sessions.end_all(session, access.user.id, but=access.session.id)
    return redirect("/account", "sessions_ended")


@router.post("/sessions/{session_id}/end")
async def end_session(session_id: RowId, db: DbDep, access: CurrentSession) -> Response:
    async with db.write() as session:
        if not await sessions.end(session, access.user.id, session_id):
            raise NotFound
    return redirect("/account", "session_ended")


@router.post("/logins/{identity_id}/disconnect")
async def disconnect(identity_id: RowId, db: DbDep, access: CurrentSession) -> Response:
    async with db.write() as session:
        if not await identities.disconnect(session, access.user.id, identity_id):
            raise NotFound
    return redirect("/account", "login_disconnected")


@router.post("/tokens")
async def make_token(
    request: Request, db: DbDep, settings: SettingsDep, access: CurrentSession
) -> Response:
    """Show the page with the new token, which no redirect could carry and nothing shows again."""
    form = await read_form(request)
    try:
        wanted = _token(form)
        async with db.write() as session:
            made = await api_tokens.issue(session, access.user.id, wanted)
    except SoonishError as error:
        page = await _page(request, db, settings, access, form.failed(error), error.status)
    else:
        page = await _page(request, db, settings, access, Form(), 201, made)
    page.headers["HX-Push-Url"] = "/account"  # where a reload finds a page
    return page


def _token(form: Form) -> ApiTokenInput:
    """`token_days` is one of the page's choices; anything but digits is for ever.

    Raises InvalidInput, naming the fields of the page.
    """
    days = form.numbers("token_days")
    until = utc_now() + timedelta(days=min(days[0], 3650)) if days else None
    values = {"name": form.value("token_name"), "scope": form.value("token_scope")}
    try:
        return parse(ApiTokenInput, values | {"expires_at": until})
    except InvalidInput as error:
        named = [FieldError(_TOKEN_FIELDS.get(e.field, e.field), e.message) for e in error.errors]
        raise InvalidInput(errors=named) from None


@router.post("/tokens/{token_id}/revoke")
async def revoke_token(token_id: RowId, db: DbDep, access: CurrentSession) -> Response:
    async with db.write() as session:
        if not await api_tokens.revoke(session, access.user.id, token_id):
            raise NotFound
    return redirect("/account", "token_revoked")


@router.get("/activity")
async def activity(
    request: Request, db: DbDep, access: CurrentSession, cursor: CursorText = None
) -> Response:
    """Everything that was done in one's name, a page at a time."""
    async with db.read() as session:
        found = await audit.list_own(session, access.user.id, limit=PAGE_SIZE, cursor=cursor)
    return render(
        request,
        "accounts/activity.html",
        user=access.user,
        entries=found.items,
        next_url=next_url("/account/activity", found.next_cursor),
    )


async def _page(
    request: Request,
    db: DbDep,
    settings: Settings,
    access: SessionAccess,
    form: Form,
    status: int = 200,
    made: NewApiTokenOut | None = None,
) -> Response:
    """Render the page; the forms not posted hold saved values. `made`: a token to show."""
    user = access.user
    form.fill(name=user.name or "", timezone=user.timezone or "UTC", locale=user.locale or "")
    return render(
        request,
        "accounts/account.html",
        status=status,
        user=user,
        has_password=user.password_hash is not None,
        least=MIN_LENGTH,
        form=form,
        made=made,
        timezones=timezones(form.value("timezone", "UTC")),
        languages=languages(form.value("locale")),
        **await _belongings(db, settings, access),
    )


async def _belongings(db: DbDep, settings: Settings, access: SessionAccess) -> dict[str, Any]:
    """Return the account's sessions, tokens, connected logins and latest audit entries."""
    async with db.read() as session:
        live = await sessions.list_own(session, settings, access, limit=PAGE_SIZE)
        tokens = await api_tokens.list_own(session, access.user.id, limit=MAX_PAGE)
        log = await audit.list_own(session, access.user.id, limit=RECENT)
        logins = await identities.list_of(session, access.user.id)
    return {
        "sessions": [(one, device_name(one.user_agent)) for one in live.items],
        "tokens": tokens.items,
        "now": utc_now(),
        "logins": logins,
        "entries": log.items,
        "more_entries": log.next_cursor is not None,
    }
