"""`/auth/oidc/...`: to the provider and back. Errors are the sign-in page with what went wrong."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from soonish.domain.accounts import oidc, sign_in
from soonish.domain.accounts.oidc import SignInRefused
from soonish.errors import SoonishError
from soonish.i18n import _
from soonish.web import cookies
from soonish.web import cookies as sealed
from soonish.web.deps import BrowserDep, DbDep, OidcDep, SettingsDep
from soonish.web.pages.account.sign_in import login_page, own_path
from soonish.web.rendering.forms import Form
from soonish.web.rendering.templating import redirect

router = APIRouter(prefix="/auth/oidc", include_in_schema=False)
_STALE = _("This sign-in was begun in another browser or too long ago. Please try again.")
_CANCELLED = _("You did not sign in there. Try again, or sign in another way.")


@router.get("/login")
async def begin(
    request: Request, provider: OidcDep, settings: SettingsDep, next: str = ""
) -> Response:
    attempt = oidc.new_attempt(own_path(next))
    try:
        address = await provider.address(attempt)
    except SoonishError as error:
        return _failed(request, settings, error, next)
    response = RedirectResponse(address, status_code=303)
    cookies.set_attempt(response, settings, sealed.seal(settings, attempt))
    return response


@router.get("/callback")
async def finish(
    request: Request,
    provider: OidcDep,
    db: DbDep,
    settings: SettingsDep,
    browser: BrowserDep,
    state: str = "",
    code: str = "",
    error: str = "",
    iss: str | None = None,
) -> Response:
    """Signs in on GET, as the protocol has it: only the browser that began holds the cookie."""
    attempt = sealed.unseal(settings, cookies.read_attempt(request, settings))
    try:
        if attempt is None or not hmac.compare_digest(attempt.state.encode(), state.encode()):
            raise SignInRefused(_STALE)
        if error or not code:
            raise SignInRefused(_CANCELLED if error == "access_denied" else "")
        identity = await provider.identify(attempt, code, iss)
        made = await sign_in.sign_in_with_provider(db, settings, browser, identity)
    except SoonishError as wrong:
        return _failed(request, settings, wrong, attempt.next if attempt else "")
    response = redirect(attempt.next, "signed_in")
    cookies.clear_attempt(response, settings)
    cookies.set_session(response, settings, made.token)
    return response


def _failed(request: Request, settings: SettingsDep, error: SoonishError, next: str) -> Response:
    response = login_page(request, settings, Form().failed(error), next, error.status)
    cookies.clear_attempt(response, settings)
    return response
