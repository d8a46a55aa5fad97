"""Routes of /api/auth and /api/users/me."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Response, status
from fastapi.security import OAuth2PasswordRequestForm

from soonish.config import Settings
from soonish.domain.accounts import profile, sessions, sign_in
from soonish.domain.accounts.schemas import (
    Accepted,
    EmailInput,
    LoginInput,
    PasswordChanged,
    ProfileInput,
    RegisterInput,
    ResetInput,
    SessionOut,
    SignedInOut,
    TokenOut,
    UserOut,
    VerifyInput,
)
from soonish.domain.accounts.sign_in import SignedIn
from soonish.errors import NotFound
from soonish.infra.db.models.accounts import User
from soonish.kit.schemas import Page
from soonish.web import cookies
from soonish.web.deps import (
    BrowserDep,
    BrowserLanguage,
    CurrentAccess,
    CurrentSession,
    CurrentUser,
    DbDep,
    LoginGuardDep,
    SettingsDep,
)
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api")
_DEFAULT_PAGE = 50


@router.post("/auth/register", status_code=status.HTTP_202_ACCEPTED, tags=["auth"])
async def register(
    body: RegisterInput,
    response: Response,
    db: DbDep,
    settings: SettingsDep,
    meter: MeterDep,
    locale: BrowserLanguage,
) -> Accepted:
    """Mail a link to the address. The answer is the same whether or not it has an account."""
    token = await sign_in.register(db, meter, **body.model_dump(), locale=locale)
    cookies.set_register(response, settings, token)
    return Accepted()


@router.post("/auth/verify", tags=["auth"])
async def verify(
    body: VerifyInput, response: Response, db: DbDep, settings: SettingsDep, browser: BrowserDep
) -> SignedInOut:
    """Sign in with the token of a mailed link: a registration, a magic link or a new address."""
    made = await sign_in.verify(db, settings, browser, token=body.token, password=body.password)
    cookies.clear_register(response, settings)
    return _signed_in(response, settings, made)


@router.post("/auth/login", tags=["auth"])
async def login(
    body: LoginInput,
    response: Response,
    db: DbDep,
    settings: SettingsDep,
    guard: LoginGuardDep,
    browser: BrowserDep,
) -> SignedInOut:
    made = await sign_in.log_in(
        db, settings, guard, browser, email=body.email, password=body.password
    )
    return _signed_in(response, settings, made)


@router.post("/auth/token", tags=["auth"])
async def token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    db: DbDep,
    settings: SettingsDep,
    guard: LoginGuardDep,
    browser: BrowserDep,
) -> TokenOut:
    """OAuth2's password form for API clients; `username` is the email address."""
    client = replace(browser, session_token=None)  # a cookie beside the form is not its business
    made = await sign_in.log_in(
        db, settings, guard, client, email=form.username, password=form.password
    )
    return TokenOut(access_token=made.access.token, expires_in=made.access.expires_in)


@router.post("/auth/magic-link", status_code=status.HTTP_202_ACCEPTED, tags=["auth"])
async def magic_link(body: EmailInput, db: DbDep, meter: MeterDep) -> Accepted:
    """Mail a link that signs in, to a known address; the answer is the same for any other."""
    await sign_in.send_magic_link(db, meter, email=body.email)
    return Accepted()


@router.post("/auth/password/forgot", status_code=status.HTTP_202_ACCEPTED, tags=["auth"])
async def forgot_password(body: EmailInput, db: DbDep, meter: MeterDep) -> Accepted:
    """Mail a link to a new password, to an account; the answer is the same for any other."""
    await sign_in.send_password_reset(db, meter, email=body.email)
    return Accepted()


@router.post("/auth/password/reset", tags=["auth"])
async def reset_password(body: ResetInput, db: DbDep) -> PasswordChanged:
    """Set a new password. All sessions of the account end."""
    await sign_in.reset_password(db, token=body.token, password=body.password)
    return PasswordChanged()


@router.post("/auth/logout", status_code=status.HTTP_204_NO_CONTENT, tags=["auth"])
async def logout(
    response: Response, db: DbDep, settings: SettingsDep, access: CurrentSession
) -> None:
    """End this session, with its cookie and its access tokens."""
    await sign_in.log_out(db, access)
    cookies.clear_session(response, settings)


@router.get("/users/me", tags=["users"])
async def show_me(user: CurrentUser) -> UserOut:
    return user_out(user)


@router.patch("/users/me", tags=["users"])
async def update_me(
    body: ProfileInput,
    response: Response,
    db: DbDep,
    settings: SettingsDep,
    guard: LoginGuardDep,
    browser: BrowserDep,
    access: CurrentAccess,
) -> UserOut:
    """Change what is given. A new password ends all sessions; a browser gets a new one at once."""
    updated = await profile.update(db, settings, guard, browser, access, body)
    if updated.new_token is not None:
        cookies.set_session(response, settings, updated.new_token)
    return user_out(updated.user)


@router.get("/users/me/sessions", tags=["users"])
async def list_sessions(
    db: DbDep,
    settings: SettingsDep,
    access: CurrentSession,
    limit: Limit = _DEFAULT_PAGE,
    cursor: CursorText = None,
) -> Page[SessionOut]:
    async with db.read() as session:
        return await sessions.list_own(session, settings, access, limit=limit, cursor=cursor)


@router.delete("/users/me/sessions", status_code=status.HTTP_204_NO_CONTENT, tags=["users"])
async def end_other_sessions(db: DbDep, access: CurrentSession) -> None:
    """End all sessions but this one."""
    async with db.write() as session:
        await sessions.end_all(session, access.user.id, but=access.session.id)


@router.delete(
    "/users/me/sessions/{session_id}", status_code=status.HTTP_204_NO_CONTENT, tags=["users"]
)
async def end_session(session_id: RowId, db: DbDep, access: CurrentSession) -> None:
    async with db.write() as session:
        if not await sessions.end(session, access.user.id, session_id):
            raise NotFound


def user_out(user: User) -> UserOut:
    """Return the account as its owner may see it."""
    return UserOut(
        id=user.id,
        email=user.email or "",
        is_verified=user.is_verified,
        name=user.name,
        timezone=user.timezone,
        locale=user.locale,
        has_password=user.password_hash is not None,
        created_at=user.created_at,
    )


def _signed_in(response: Response, settings: Settings, made: SignedIn) -> SignedInOut:
    cookies.set_session(response, settings, made.token)
    return SignedInOut(
        access_token=made.access.token,
        expires_in=made.access.expires_in,
        user=user_out(made.user),
        password_needed=made.password_needed,
    )
