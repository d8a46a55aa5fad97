"""Render errors for their reader: problem details, a fragment for HTMX, or a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import URL
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soonish.errors import (
    MAX_FIELD_ERRORS,
    FieldError,
    InvalidInput,
    NotFound,
    SoonishError,
    TooLarge,
    TooManyRequests,
    Unavailable,
)
from soonish.i18n import LazyText, _
from soonish.infra.db.errors import is_transient
from soonish.web.middleware.methods import allowed_methods, page_above
from soonish.web.rendering.templating import is_htmx, redirect, render

log = structlog.get_logger(__name__)


class MethodNotAllowed(SoonishError):
    status = 405
    code = "method_not_allowed"
    title = _("This address does not take that method")


class BadRequest(SoonishError):
    status = 400
    code = "bad_request"
    title = _("The request cannot be read")


_BY_STATUS: dict[int, type[SoonishError]] = {404: NotFound, 405: MethodNotAllowed, 413: TooLarge}


def install_error_handlers(app: FastAPI) -> None:
    """Render SoonishError, validation errors and routing errors; see UnexpectedErrorMiddleware."""
    app.add_exception_handler(SoonishError, _handle)
    app.add_exception_handler(RequestValidationError, _handle)
    app.add_exception_handler(HTTPException, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    found = as_soonish_error(error)
    is_reload = found.status == 405 and request.method == "GET" and _wants_page(request)
    if is_reload and (above := page_above(request)):  # the response to a form
        return redirect(above)
    response = error_response(request, found)
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    if response.status_code == 405:  # the router names the methods of one route only
        response.headers["Allow"] = allowed_methods(request)
    return response


def as_soonish_error(error: Exception) -> SoonishError:
    """Return the equivalent error of our own tree."""
    if isinstance(error, SoonishError):
        return error
    if isinstance(error, RequestValidationError):
        errors = error.errors()
        if any(entry["loc"][:1] == ("path",) for entry in errors):
            return NotFound()
        return InvalidInput(errors=field_errors(errors))
    if isinstance(error, HTTPException):
        if error.status_code == 400:  # FastAPI: an unparsable body
            return InvalidInput("body", "cannot be read")
        made = _BY_STATUS.get(error.status_code, BadRequest)()
        made.status = error.status_code
        return made
    if is_transient(error):
        return Unavailable("The database does not answer just now. Please try again.")
    return SoonishError()


# Pydantic speaks of items when a text is stripped before it is measured.
_LENGTHS = {"too_short": "min_length", "too_long": "max_length"}


def field_errors(entries: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """Convert Pydantic's errors: dotted names, `body` for the whole, never the input itself."""
    first = list(islice(entries, MAX_FIELD_ERRORS))
    made = {_field_name(entry): _message(entry) for entry in reversed(first)}
    return [FieldError(name, message) for name, message in reversed(made.items())]


def _field_name(entry: Mapping[str, Any]) -> str:
    if entry["type"] == "json_invalid":
        return "body"
    parts = [str(part) for part in entry["loc"]]
    if parts and parts[0] in ("body", "query", "header", "cookie"):
        parts = parts[1:]
    # A union adds the names of its members to the path; our field names never look like that.
    outer = [part for part in parts[:-1] if part.isdigit() or part.islower()]
    return ".".join(p for p in (*outer, *parts[-1:]) if "[" not in p) or "body"


def _message(entry: Mapping[str, Any]) -> str:
    if entry["type"] in _LENGTHS and isinstance(entry.get("input"), str):
        return _length_message(entry)
    raised = entry.get("ctx", {}).get("error")
    if isinstance(raised, ValueError) and raised.args and isinstance(raised.args[0], LazyText):
        return raised.args[0]
    if isinstance(entry["msg"], LazyText):
        return entry["msg"]
    return str(entry["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _length_message(entry: Mapping[str, Any]) -> LazyText:
    count = entry["ctx"][_LENGTHS[entry["type"]]]
    if entry["type"] == "too_short":
        return _("must have at least %(count)s characters", count=count)
    return _("must have at most %(count)s characters", count=count)


def error_response(request: Request, error: SoonishError) -> Response:
    """Render `error` for the client: the API, HTMX, a browser, or anything else (as the API)."""
    by_htmx = request.headers.get("hx-request") == "true"
    if not _wants_page(request):
        return _problem_response(error)
    stays = by_htmx and not _replaces_the_page(request)
    if error.status == 401 and not (stays and request.method == "POST"):
        return _to_login(request, by_htmx)
    template = "partials/error.html" if stays else "error.html"
    response = render(request, template, status=error.status, error=error)
    response.headers.update(_error_headers(error) | (_IN_PLACE if stays else {}))
    return response


# The page keeps its content and typed values; the error appears above.
_IN_PLACE = {"HX-Retarget": "#notices", "HX-Reswap": "innerHTML", "HX-Reselect": "unset"}


def _replaces_the_page(request: Request) -> bool:
    """Return True for a boosted link to another page or the history.

    A form, or a link that swaps a section of its page, does not replace the page.
    """
    headers = request.headers
    link = "hx-boosted" in headers and request.method == "GET" and "hx-target" not in headers
    return link or "hx-history-restore-request" in headers


def _wants_page(request: Request) -> bool:
    asks = "text/html" in request.headers.get("accept", "") or "hx-request" in request.headers
    return asks and not request.url.path.startswith("/api")


def _to_login(request: Request, by_htmx: bool) -> Response:
    """Redirect to sign-in, which returns to this page afterwards."""
    url = request.url
    if is_htmx(request):  # a fragment is no page to return to
        url = URL(request.headers.get("hx-current-url", "/dashboard"))
    back = url.path + (f"?{url.query}" if url.query else "")
    login = f"/login?next={quote(back)}" if request.method == "GET" else "/login"
    return Response(headers={"HX-Redirect": login}) if by_htmx else redirect(login)


class UnexpectedErrorMiddleware:
    """The last safety net: a 500 without details, and a log line with the place in our code.

    The error's text is not logged: it may contain an address or a URL. Starlette's own handler
    would raise it again, and the server would print all of it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            log.error("request_failed", error=type(error).__name__, place=_place(error))
            if started:
                raise
            request = Request(scope, receive)
            await error_response(request, as_soonish_error(error))(scope, receive, send)


def _place(error: Exception) -> str:
    """Return `module:line` of our own code nearest to the error."""
    place, trace = "", error.__traceback__
    while trace:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith("soonish.") or not place:
            place = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _problem(error: SoonishError) -> dict[str, Any]:
    """Return `{type, title, status, detail, code}`, for 422 also `errors[{field, message}]`."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    if isinstance(error, InvalidInput):
        document["errors"] = [{"field": e.field, "message": e.message} for e in error.errors]
    return document


def _error_headers(error: SoonishError) -> dict[str, str]:
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(error.retry_after)}
    if error.code == "insufficient_scope":  # RFC 6750, 3.1
        return {"WWW-Authenticate": f'Bearer error="{error.code}"'}
    return {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}


def _problem_response(error: SoonishError) -> JSONResponse:
    return JSONResponse(
        _problem(error),
        status_code=error.status,
        headers=_error_headers(error),
        media_type="application/problem+json",
    )
