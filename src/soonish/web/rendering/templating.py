"""Jinja templates in the reader's language, and the responses rendered from them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from soonish.domain.integrations.kinds import all_kinds
from soonish.i18n import ENGLISH, best_language, browser_language, language
from soonish.web.rendering.assets import asset
from soonish.web.rendering.formats import Formats
from soonish.web.rendering.notices import NOTICE_COOKIE, notice_of, read_notice

TEMPLATES = Path(__file__).parents[1] / "templates"


@cache
def environment(locale: str = ENGLISH) -> Environment:
    """Return the Jinja environment of a language for `_()`, dates, numbers and plurals."""
    words = language(locale)
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(words.gettext, words.ngettext, newstyle=True)  # type: ignore[attr-defined]
    own: dict[str, Any] = {"asset": asset, "lang": str(words.locale).replace("_", "-")}
    made.globals.update(own)
    own_filters = {"translated": words.translate, "service_name": _service_name}
    made.filters.update(Formats(words).filters(), **own_filters)
    return made


def _service_name(kind: str) -> str:
    """Return the service name of a kind of channel: `Webhook (JSON)` for `json`."""
    known = all_kinds().get(kind)
    return known.label if known else kind


def is_htmx(request: Request) -> bool:
    """Return True if HTMX asks for a fragment; boosted links and forms need the whole page."""
    headers = request.headers
    whole = "hx-boosted" in headers or "hx-history-restore-request" in headers
    return headers.get("hx-request") == "true" and not whole


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Render a page or fragment as a response.

    `user` in the context is the signed-in user, or None. The layout shows a notice left by
    `redirect` once. The language is that of the profile, else of the browser.
    """
    context.setdefault("user", getattr(request.state, "user", None))
    context.setdefault("token_page", False)
    notice = "" if context["token_page"] else read_notice(request)
    html = (
        environment(locale_of(request, context["user"]))
        .get_template(template)
        .render(request=request, path=request.url.path, flash=notice_of(notice), **context)
    )
    response = HTMLResponse(html, status_code=status, headers={"Vary": "Accept-Language"})
    if notice:
        response.delete_cookie(NOTICE_COOKIE)
    return response


def locale_of(request: Request, user: Any) -> str:
    """Return the profile's language, else the browser's preference, else English."""
    if own := getattr(user, "locale", None):
        return best_language(own)
    return browser_language(request.headers.get("accept-language", "")) or ENGLISH


def render_text(request: Request, template: str, user: Any, **context: Any) -> str:
    """Render a fragment to send within something else, such as a stream."""
    made = environment(locale_of(request, user)).get_template(template)
    return made.render(user=user, **context)


def redirect(url: str, notice: str = "") -> Response:
    """Return a 303 to a page of this site, which shows the named notice of `notices.NOTICES`
    once."""
    response = RedirectResponse(url, status_code=303)
    if notice:
        response.set_cookie(NOTICE_COOKIE, notice, max_age=60, httponly=True, samesite="lax")
    return response
