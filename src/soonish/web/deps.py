"""Dependencies of routes: the database, settings, limits, and who is signed in."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import BackgroundTasks, Depends, Request
from fastapi.security import APIKeyCookie, OAuth2PasswordBearer

from soonish.config import Settings
from soonish.domain.accounts import access_tokens, api_tokens, principal, sessions
from soonish.domain.accounts.limits import LoginGuard
from soonish.domain.accounts.oidc import Provider
from soonish.domain.accounts.principal import Access, SessionAccess, TokenAccess
from soonish.domain.accounts.sign_in import Browser
from soonish.domain.integrations.testing import Tester
from soonish.domain.subscriptions.anonymous import Asker
from soonish.errors import NotFound, Unauthorized
from soonish.i18n import browser_language
from soonish.identity.mail_limits import MailAllowance
from soonish.infra.audit import origin
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database
from soonish.infra.rate_limits.limits import API
from soonish.infra.temporal import Temporal
from soonish.web import client_address, cookies
from soonish.web.middleware.rate_limits import MeterDep


async def require_admin(user: OptionalUser) -> User:
    """Return the administrator. Raise NotFound for everybody else."""
    if user is None or not user.is_admin:
        raise NotFound
    return user


Admin = Annotated[User, Depends(require_admin)]


async def get_settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.soonish.settings)


async def get_database(request: Request) -> Database:
    return cast(Database, request.app.state.soonish.db)


SettingsDep = Annotated[Settings, Depends(get_settings)]
DbDep = Annotated[Database, Depends(get_database)]


async def get_temporal(request: Request) -> Temporal:
    return cast(Temporal, request.app.state.soonish.temporal)


async def get_tester(request: Request, settings: SettingsDep) -> Tester:
    return Tester(settings, request.app.state.soonish.sender)


TemporalDep = Annotated[Temporal, Depends(get_temporal)]
TesterDep = Annotated[Tester, Depends(get_tester)]


async def get_client(request: Request, settings: SettingsDep) -> str:
    """Return the key that limits count the client by (accounts/clients.py)."""
    return client_address.limit_key(client_address.client_address(request, settings))


ClientDep = Annotated[str, Depends(get_client)]


async def get_login_guard(meter: MeterDep, client: ClientDep) -> LoginGuard:
    return LoginGuard(meter, client)


async def get_oidc(request: Request, settings: SettingsDep) -> Provider:
    """Return the process's provider, which caches the metadata. Raise NotFound if none is
    configured."""
    if not settings.oidc_issuer:
        raise NotFound
    state = request.app.state
    if not hasattr(state, "oidc"):
        state.oidc = Provider(settings)
    return cast(Provider, state.oidc)


async def get_browser(request: Request, settings: SettingsDep) -> Browser:
    return Browser(
        user_agent=request.headers.get("user-agent"),
        session_token=cookies.read_session(request, settings),
        register_token=cookies.read_register(request, settings),
    )


async def get_language(request: Request) -> str | None:
    """Return the supported language the browser prefers; None without a preference."""
    return browser_language(request.headers.get("accept-language", ""))


# These two are only for the OpenAPI document; get_access reads the request itself.
_bearer = OAuth2PasswordBearer("/api/auth/token", auto_error=False)
_cookie = APIKeyCookie(name=cookies.SESSION, auto_error=False)


async def get_access(
    request: Request,
    settings: SettingsDep,
    db: DbDep,
    background: BackgroundTasks,
    meter: MeterDep,
    _header: Annotated[str | None, Depends(_bearer)] = None,
    _session: Annotated[str | None, Depends(_cookie)] = None,
) -> Access | None:
    """Return the request's access, or None. An Authorization header takes precedence.

    Raise Unauthorized for an invalid header, even beside a valid cookie, Forbidden for a read-only
    API token on a write, and TooManyRequests if the user exceeds the API's limit, however they are
    signed in.
    """
    found = await find_access(request, settings, db)
    request.state.user = found.user if found else None  # for error pages, too
    if found is not None:
        origin.set_actor(found.user.id, found.token.id if isinstance(found, TokenAccess) else None)
    if found is not None and request.url.path.startswith("/api/"):
        await meter.require(API, str(found.user.id))
    if isinstance(found, TokenAccess):
        api_tokens.check_scope(found.token, request.method)
    _note_use(found, db, background)
    return found


async def find_access(request: Request, settings: Settings, db: Database) -> Access | None:
    """Return the request's access without recording it. Raise Unauthorized as get_access does."""
    header = request.headers.get("authorization")
    if header is not None:
        return await _by_header(header, settings, db)
    return await _by_cookie(cookies.read_session(request, settings), settings, db)


def _note_use(found: Access | None, db: Database, background: BackgroundTasks) -> None:
    match found:
        case SessionAccess(session=row) if sessions.is_due(row):
            background.add_task(sessions.touch, db, row.id)
        case TokenAccess(token=row) if api_tokens.is_due(row):
            background.add_task(api_tokens.touch, db, row.id)
        case _:
            pass


async def _by_header(header: str, settings: Settings, db: Database) -> Access:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized
    token = token.strip()
    if token.startswith(api_tokens.PREFIX):
        return await _by_api_token(token, db)
    return await _by_access_token(token, settings, db)


async def _by_api_token(token: str, db: Database) -> Access:
    async with db.read() as session:
        found = await api_tokens.find(session, token)
    if found is None:
        raise Unauthorized
    return found


async def _by_access_token(token: str, settings: Settings, db: Database) -> Access:
    claims = access_tokens.verify(settings, token)
    async with db.read() as session:
        found = await sessions.find_by_id(session, settings, claims.session_id, claims.user_id)
    if found is None:
        raise Unauthorized
    return found


async def _by_cookie(token: str | None, settings: Settings, db: Database) -> Access | None:
    if not token:
        return None
    async with db.read() as session:
        return await sessions.find_by_token(session, settings, token)


async def require_access(found: Annotated[Access | None, Depends(get_access)]) -> Access:
    """Return the access. Raise Unauthorized if nobody is signed in."""
    if found is None:
        raise Unauthorized
    return found


async def require_session(found: Annotated[Access, Depends(require_access)]) -> SessionAccess:
    """Return session access. Raise Unauthorized, or Forbidden for an API token."""
    return principal.require_session(found)


async def get_user(found: Annotated[Access | None, Depends(get_access)]) -> User | None:
    return found.user if found else None


async def require_user(found: Annotated[Access, Depends(require_access)]) -> User:
    return found.user


async def get_asker(meter: MeterDep, client: ClientDep) -> Asker:
    return Asker(meter, client)


async def get_mail_allowance(
    meter: MeterDep, user: Annotated[User, Depends(require_user)]
) -> MailAllowance:
    return MailAllowance(meter, user)


AskerDep = Annotated[Asker, Depends(get_asker)]
BrowserDep = Annotated[Browser, Depends(get_browser)]
BrowserLanguage = Annotated[str | None, Depends(get_language)]
OidcDep = Annotated[Provider, Depends(get_oidc)]
LoginGuardDep = Annotated[LoginGuard, Depends(get_login_guard)]
MailAllowanceDep = Annotated[MailAllowance, Depends(get_mail_allowance)]
OptionalUser = Annotated[User | None, Depends(get_user)]
CurrentAccess = Annotated[Access, Depends(require_access)]
CurrentSession = Annotated[SessionAccess, Depends(require_session)]
CurrentUser = Annotated[User, Depends(require_user)]
