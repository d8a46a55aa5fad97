"""Request and response schemas of the accounts API."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from babel import Locale, UnknownLocaleError
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from soonish.domain.accounts.password_rules import MAX_LENGTH, MIN_LENGTH, length_error
from soonish.i18n import _
from soonish.kit.schemas import Input, Instant, Output, Text, known_timezones

MAX_NAME = 200


class Scope(StrEnum):
    """The rights of an API token."""

    READ = "read"
    WRITE = "write"


def _one_line(value: str) -> str | None:
    return " ".join(value.split()) or None


def _printable(value: str | None) -> str | None:
    if value is not None and not value.isprintable():
        raise ValueError(_("must not contain control characters"))
    return value


def clean_name(value: str | None) -> str | None:
    """Return an externally supplied name, if it meets our own rules."""
    plain = "".join(c if c.isprintable() else " " for c in value or "")
    return _one_line(plain[:MAX_NAME])


def _required(value: str | None) -> str:
    if not value:
        raise ValueError("must not be empty")
    return value


def _of_right_length(value: str) -> str:
    if wrong := length_error(value):
        raise ValueError(wrong)
    return value


def _known_zone(value: str) -> str:
    if value not in known_timezones():
        raise ValueError(_("must be an IANA timezone, such as Europe/Berlin"))
    return value


def _known_locale(value: str) -> str:
    try:
        return str(Locale.parse(value.replace("_", "-"), sep="-")).replace("_", "-")
    except (ValueError, UnknownLocaleError):
        raise ValueError(_("must be a language tag, such as en or pt-BR")) from None


Address = Annotated[Text, StringConstraints(max_length=320)]
Name = Annotated[
    Text | None,
    StringConstraints(max_length=MAX_NAME),
    AfterValidator(lambda value: value if value is None else _printable(_one_line(value))),
]
TokenName = Annotated[
    Text,
    StringConstraints(max_length=100),
    AfterValidator(lambda value: _printable(_required(_one_line(value)))),
]
Timezone = Annotated[str, AfterValidator(_known_zone)]
LanguageTag = Annotated[str, StringConstraints(max_length=16), AfterValidator(_known_locale)]
AnyPassword = Annotated[Text, StringConstraints(max_length=1024)]
# Pages check the length with the same rule; `password_rules.validate_password` is stricter.
NewPassword = Annotated[
    Text,
    AfterValidator(_of_right_length),
    Field(json_schema_extra={"minLength": MIN_LENGTH, "maxLength": MAX_LENGTH}),
]
TokenText = Annotated[Text, StringConstraints(min_length=1, max_length=200)]


class SecretInput(Input):
    """A body with a password, taken exactly as typed, surrounding spaces included."""

    model_config = ConfigDict(str_strip_whitespace=False)


class RegisterInput(SecretInput):
    email: Address
    password: NewPassword | None = None
    name: Name = None


class EmailInput(Input):
    email: Address


class VerifyInput(SecretInput):
    token: TokenText
    password: NewPassword | None = None


class LoginInput(SecretInput):
    email: Address
    password: AnyPassword


class ResetInput(SecretInput):
    token: TokenText
    password: NewPassword


class ProfileInput(SecretInput):
    """Omitted fields stay unchanged; null clears name, timezone or locale."""

    name: Name = None
    timezone: Timezone | None = None
    locale: LanguageTag | None = None
    email: Address = ""
    password: NewPassword = ""
    current_password: AnyPassword = ""


class ErasureInput(SecretInput):
    current_password: AnyPassword | None = None


class Accepted(Output):
    status: Literal["accepted"] = "accepted"


class PasswordChanged(Output):
    status: Literal["password_changed"] = "password_changed"


class UserOut(Output):
    """The account as its owner sees it."""

    id: int
    email: str
    is_verified: bool
    name: str | None
    timezone: str | None
    locale: str | None
    has_password: bool
    created_at: Instant


class TokenOut(Output):
    """OAuth2's token response (RFC 6749, 5.1); `expires_in` is in seconds."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6750's name, no password
    expires_in: int


class SignedInOut(TokenOut):
    """`password_needed`: the account has no password yet and should be asked to set one."""

    user: UserOut
    password_needed: bool


class SessionOut(Output):
    """`current`: the session of this request."""

    id: int
    user_agent: str | None
    created_at: Instant
    last_seen_at: Instant
    expires_at: Instant
    current: bool


class ApiTokenInput(Input):
    """A `read` token cannot change anything; without `expires_at` it is valid until revoked."""

    name: TokenName
    scope: Scope
    expires_at: Instant | None = None


class ApiTokenOut(Output):
    id: int
    name: str
    scope: Scope
    created_at: Instant
    expires_at: Instant | None
    last_used_at: Instant | None


class NewApiTokenOut(ApiTokenOut):
    """`token` is only shown once."""

    token: str
