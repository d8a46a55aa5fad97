"""Build an Apprise URL from a service's form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from soonish.domain.integrations.kinds import PASTED, TARGETS, Field, Kind, tokens_of
from soonish.errors import FieldError, InvalidInput
from soonish.i18n import _

_WEB_ADDRESS = re.compile(r"^https?://", re.IGNORECASE)
_OF_PATHS = "/%:@!$&'()*+,;=~"  # RFC 3986, 3.3
_HOST = re.compile(r"[\w.:\[\]-]+")


def url_from(kind: Kind, values: Mapping[str, str], *, encrypted: bool = True) -> str:
    """Return the URL for the form's values; `encrypted` selects TLS if the service offers both.

    `values` are by field name; `pasted` is a web address of the service instead of separate fields.
    Raise InvalidInput listing every missing, invalid or conflicting field.
    """
    filled = {name: value.strip() for name, value in values.items() if value.strip()}
    if kind.asks_for_encryption and _WEB_ADDRESS.match(filled.get("host", "")):
        encrypted = filled["host"].lower().startswith("https")
        parts = _parts_of(kind, filled["host"])
        both = (filled.get("params"), parts.get("params"))
        filled |= parts | {"params": "\n".join(filter(None, both))}
    if PASTED in filled and kind.takes_address:
        return _pasted(filled[PASTED])
    if kind.takes_address and not any(field.name in filled for field in kind.tokens):
        raise InvalidInput(PASTED, "Paste the address, or enter its parts.")
    errors = [error for field in (*kind.tokens, *kind.options) if (error := _wrong(field, filled))]
    template = _choose(kind, filled, errors)
    scheme = kind.secure if kind.secure and (encrypted or not kind.plain) else kind.plain
    parts = {field.name: _token(field, filled, template) for field in kind.tokens}
    url = template.format(schema=scheme, **parts)
    query = urlencode(list(_arguments(kind.options, filled)), quote_via=quote)
    return f"{url}?{query}" if query else url


def _parts_of(kind: Kind, address: str) -> dict[str, str]:
    """Split a complete web address in the host field into the form's fields.

    Raise InvalidInput on `host` if it cannot be parsed or contains more than the service supports.
    """
    try:
        parts = urlsplit(address)
        port = str(parts.port or "")
    except ValueError:
        raise InvalidInput("host", _("This does not look right; check it for a typo.")) from None
    found = {
        "host": parts.netloc.rpartition("@")[2].removesuffix(f":{port}"),
        "port": port,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "path": parts.path.lstrip("/"),
        "params": _query_of(parts),
    }
    given = {name: value for name, value in found.items() if value}
    if set(given) - {field.name for field in (*kind.tokens, *kind.options)}:
        raise InvalidInput("host", _("Please give only the name of the host here."))
    return given


def _query_of(parts: SplitResult) -> str:
    """Return the query in the format of the key-value field."""
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    return "\n".join(f"{name}={value}" for name, value in pairs)


def _pasted(address: str) -> str:
    if not _WEB_ADDRESS.match(address):
        raise InvalidInput(PASTED, "Paste the whole address, beginning with https://.")
    return address


def _wrong(field: Field, filled: Mapping[str, str]) -> FieldError | None:
    value = filled.get(field.name)
    if value is None:
        return FieldError(field.name, "Please fill this in.") if field.required else None
    if field.name == "host" and not _HOST.fullmatch(value):
        return FieldError(field.name, _("This is not the name of a host; check it for a typo."))
    if field.control == "choice" and value not in field.choices:
        return FieldError(field.name, "Choose one of the list.")
    if field.control == "number" and not _fits(field, value):
        return FieldError(field.name, _range(field))
    if field.control == "pairs" and not all("=" in line for line in value.splitlines() if line):
        return FieldError(field.name, "Write one name=value on each line.")
    if field.pattern and field.name != TARGETS and not field.pattern.match(_marked(field, value)):
        return FieldError(field.name, "This does not look right; check it for a typo.")
    return None


def _fits(field: Field, value: str) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    low = field.minimum if field.minimum is not None else float("-inf")
    high = field.maximum if field.maximum is not None else float("inf")
    return low <= number <= high


def _range(field: Field) -> str:
    if field.minimum is not None and field.maximum is not None:
        low, high = f"{field.minimum:g}", f"{field.maximum:g}"
        return _("Give a number from %(low)s to %(high)s.", low=low, high=high)
    return _("Give a number.")


def _choose(kind: Kind, filled: Mapping[str, str], errors: list[FieldError]) -> str:
    """Return the template that uses every filled field. Raise InvalidInput, including `errors`."""
    given = {field.name for field in kind.tokens if field.name in filled}
    needs = {template: set(tokens_of(template)) for template in kind.templates}
    for template, tokens in needs.items():
        if tokens == given and not errors:
            return template
    if not any(tokens == given for tokens in needs.values()):
        errors = errors or _mismatch(given, list(needs.values()))
    raise InvalidInput(errors=errors)


def _mismatch(given: set[str], choices: list[set[str]]) -> list[FieldError]:
    """Return the missing fields if adding them is enough, else the conflicting ones."""
    larger = [tokens - given for tokens in choices if given < tokens]
    if larger:
        missing = min(larger, key=len)
        return [FieldError(name, "Please fill this in, too.") for name in sorted(missing)]
    best = max(choices, key=lambda tokens: len(tokens & given))
    return [
        FieldError(name, "Leave this empty: it does not go with the other fields.")
        for name in sorted(given - best)
    ]


def _token(field: Field, filled: Mapping[str, str], template: str) -> str:
    value = _marked(field, filled.get(field.name, ""))
    if field.name == "host":
        return quote(_WEB_ADDRESS.sub("", value).rstrip("/"), safe=".:[]-_")
    if field.name == "path" and template.endswith("/{path}"):
        return quote(value.lstrip("/"), safe=_OF_PATHS)  # unchanged, with its trailing slash
    if field.name == "path":
        inner = quote(unquote(value.strip("/")), safe="/")
        return (f"/{inner}/" if inner else "/") if "{path}{" in template else inner
    # With a sender's address in the URL's host, plugins look for its plain @.
    host = template.partition("://")[2].partition("/")[0]
    is_host = "@" not in host and f"{{{field.name}}}" in host
    return quote(value, safe="@" if is_host else "")


def _marked(field: Field, value: str) -> str:
    return value if not value or value.startswith(field.prefix) else f"{field.prefix}{value}"


def _arguments(options: Iterable[Field], filled: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for field in options:
        value = filled.get(field.name)
        if value is None or value == field.default:
            continue
        if field.control == "pairs":
            for line in filter(None, value.splitlines()):
                name, _, content = line.partition("=")
                yield f"{field.prefix}{name.strip()}", content.strip()
        else:
            yield field.name, value
