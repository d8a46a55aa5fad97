"""The error tree. Code decides by type and `code`, never by an error's text.

SoonishError
├── ConfigurationError     a setting is missing or wrong; the process does not start
├── InvalidInput      422  names the field and the remedy
├── Unauthorized      401  no or bad credentials
├── Forbidden         403  public, but not yours to change
├── NotFound          404  missing, or hidden from this user
├── Conflict          409  valid, but not in the current state
├── Gone              410  a token that is unknown, used up or expired
├── TooLarge          413
├── TooSlow           408
├── TooManyRequests   429  carries `retry_after`
└── Unavailable       503  a required service does not answer
"""

from __future__ import annotations

from dataclasses import dataclass

from soonish.i18n import _

MAX_FIELD_ERRORS, MAX_FIELD_NAME = 100, 200  # limits of one response, whatever the request was


@dataclass(frozen=True)
class FieldError:
    """One invalid field: its name (`body` for the whole) and a remedy."""

    field: str
    message: str


class SoonishError(Exception):
    """The base class, with `status` (HTTP), `code` (for programs) and `title`."""

    status = 500
    code = "internal_error"
    title = _("Something went wrong")

    def __init__(self, detail: str = "", *, code: str | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.code = code or self.code


class ConfigurationError(SoonishError, ValueError):
    code = "configuration"
    title = _("The configuration is not usable")


class InvalidInput(SoonishError):
    """Invalid input: one field with its message, or a list of FieldError (the first 100 count)."""

    status = 422
    code = "invalid_input"
    title = _("Some fields are not right")

    def __init__(
        self,
        field: str = "body",
        message: str = "",
        *,
        code: str | None = None,
        errors: list[FieldError] | None = None,
    ) -> None:
        found = errors or [FieldError(field, message or self.title)]
        self.errors = [
            FieldError(one.field[:MAX_FIELD_NAME], one.message) for one in found[:MAX_FIELD_ERRORS]
        ]
        super().__init__("; ".join(f"{e.field}: {e.message}" for e in self.errors), code=code)


class Unauthorized(SoonishError):
    status = 401
    code = "unauthorized"
    title = _("Please sign in")


class Forbidden(SoonishError):
    status = 403
    code = "forbidden"
    title = _("This is not yours to do")


class NotFound(SoonishError):
    status = 404
    code = "not_found"
    title = _("There is nothing here")


class Conflict(SoonishError):
    status = 409
    code = "conflict"
    title = _("That does not fit the present state")


class Gone(SoonishError):
    status = 410
    code = "token_invalid"
    title = _("This link is no longer valid")


class TooLarge(SoonishError):
    status = 413
    code = "too_large"
    title = _("The request is larger than 1 MiB")


class TooSlow(SoonishError):
    status = 408
    code = "request_timeout"
    title = _("The request took too long to arrive")


class TooManyRequests(SoonishError):
    status = 429
    code = "too_many_requests"
    title = _("Too many requests")

    def __init__(self, retry_after: int, detail: str = "") -> None:
        super().__init__(
            detail or _("Please try again in %(seconds)s seconds.", seconds=retry_after)
        )
        self.retry_after = retry_after


class Unavailable(SoonishError):
    status = 503
    code = "unavailable"
    title = _("A part of Soonish does not answer")
