"""RFC 9457 problem details: one shape for every error of the API."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from soonish.errors import InvalidInput, SoonishError, TooManyRequests


def problem(error: SoonishError) -> dict[str, Any]:
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


def error_headers(error: SoonishError) -> dict[str, str]:
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(error.retry_after)}
    if error.code == "insufficient_scope":  # RFC 6750, 3.1
        return {"WWW-Authenticate": f'Bearer error="{error.code}"'}
    return {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}


def problem_response(error: SoonishError) -> JSONResponse:
    return JSONResponse(
        problem(error),
        status_code=error.status,
        headers=error_headers(error),
        media_type="application/problem+json",
    )
