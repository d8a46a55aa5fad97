"""The services a channel can use, each with the fields of its form.

All of it comes from Apprise's metadata (`Apprise().details()`) for every scheme that users may
store, so that nobody has to write a URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import apprise
from apprise.manager_plugins import NotificationManager
from apprise.plugins.base import NotifyBase

from soonish.delivery.transports.apprise import schemes
from soonish.delivery.transports.apprise.urls import is_settable
from soonish.domain.integrations import labels

TARGETS = "targets"
PASTED = "pasted"
_TOKEN = re.compile(r"\{(\w+)\}")
# Arguments Apprise accepts for every service, and those reserved for Soonish
# (docs/architecture.md#apprise).
_COMMON = frozenset(("emojis", "format", "overflow", "store", "template", "to", "tz", "verify"))
_FILES = frozenset(("keyfile",))  # fields that would name a local file


# An ntfy topic is not a web address to paste, although Apprise understands those as well.
_NO_ADDRESS = frozenset(("ntfy",))
_PATH = {"name": "Path", "type": "string"}

Control = Literal["text", "secret", "number", "choice", "flag", "pairs"]


@dataclass(frozen=True)
class Field:
    """One field of a service's form; `name` is the token or argument in Apprise's URL.

    `pattern` is a regular expression for the whole value, `prefix` what Apprise expects before it.
    """

    name: str
    label: str
    control: Control
    required: bool = False
    default: str = ""
    hint: str = ""
    pattern: re.Pattern[str] | None = None
    prefix: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def is_hidden(self) -> bool:
        """Return True if pages must never show the typed value again."""
        return self.name == "password"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Return the choices as a select field takes them."""
        return [(choice, choice) for choice in self.choices]


@dataclass(frozen=True)
class Kind:
    """A service: `name` as in `integrations.kind`, `templates` the possible forms of its URL.

    `plain` and `secure` are the schemes without and with TLS, empty if unsupported.
    `takes_address`: the service hands out web addresses that Apprise understands. `how_to` is in
    English, for the page to translate.
    """

    name: str
    label: str
    plain: str
    secure: str
    templates: tuple[str, ...]
    tokens: tuple[Field, ...]
    options: tuple[Field, ...]
    takes_address: bool
    help_url: str | None
    how_to: str
    words: str

    @property
    def asks_for_encryption(self) -> bool:
        return bool(self.plain and self.secure)

    def matches(self, query: str) -> bool:
        """Return True if every word of the query occurs in the service's names."""
        return all(word in self.words for word in query.casefold().split())


@cache
def all_kinds() -> Mapping[str, Kind]:
    """Return every service users may add, by name, in the order of their labels."""
    found = [kind for schema in apprise.Apprise().details()["schemas"] if (kind := _kind(schema))]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.label.casefold())}


def search(query: str) -> list[Kind]:
    """Return matching services; without a query all of them, popular ones first."""
    kinds = all_kinds()
    first = [kinds[name] for name in labels.POPULAR if name in kinds]
    ordered = first + [kind for kind in kinds.values() if kind not in first]
    return [kind for kind in ordered if kind.matches(query)]


def tokens_of(template: str) -> list[str]:
    """Return the fields a template needs, in order."""
    return [name for name in _TOKEN.findall(template) if name != "schema"]


def _kind(schema: Mapping[str, Any]) -> Kind | None:
    plain, secure = _allowed(schema["protocols"]), _allowed(schema["secure_protocols"])
    if not plain and not secure:
        return None
    details, first = schema["details"], (plain or secure)[0]
    templates = _templates(details, first)
    options = _options(details, first)
    label = labels.LABELS.get(first) or str(schema["service_name"])
    return Kind(
        name=first,
        label=label,
        plain=plain[0] if plain else "",
        secure=secure[0] if secure else "",
        templates=templates,
        tokens=tuple(_token_fields(first, {"path": _PATH} | details["tokens"], templates)),
        options=options,
        takes_address=first not in _NO_ADDRESS and _takes_address(first),
        help_url=schema["setup_url"],
        how_to=labels.HOW_TO.get(first, ""),
        words=_words(label, (*plain, *secure), details["tokens"]),
    )


def _allowed(names: Iterable[str] | None) -> list[str]:
    return [name for name in names or () if name in schemes.ALLOWED]


def _templates(details: Mapping[str, Any], scheme: str) -> tuple[str, ...]:
    """Return the templates without files; a single recipient's name becomes the targets field
    (ntfy).

    Webhooks post to the path behind their host, which Apprise's templates omit. Mail needs its
    recipient: without one Apprise would guess an address from the user's name.
    """
    group = details["tokens"].get(TARGETS, {}).get("group", ())
    named = [t for t in details["templates"] if not _FILES & set(tokens_of(t))]
    aliased = [_TOKEN.sub(lambda m: _alias(m, group), template) for template in named]
    if scheme in schemes.WEBHOOKS:
        aliased = [form for short in aliased for form in (short, f"{short}/{{path}}")]
    if scheme == "mailto":
        aliased = [template for template in aliased if TARGETS in tokens_of(template)]
    return tuple(dict.fromkeys(aliased))


def _alias(match: re.Match[str], group: Iterable[str]) -> str:
    return f"{{{TARGETS}}}" if match[1] in group else match[0]


def _token_fields(
    scheme: str, tokens: Mapping[str, Any], templates: Iterable[str]
) -> Iterable[Field]:
    """Return a field for each token of any template; those in all templates are required."""
    used = [tokens_of(template) for template in templates]
    for name in dict.fromkeys(name for names in used for name in names):
        required = all(name in names for names in used)
        if name == TARGETS:
            found = _targets_field(tokens, required)
        else:
            found = _field(name, tokens[name], required=required)
        label = labels.TOKEN_LABELS.get((scheme, name), found.label)
        is_place = scheme in schemes.WEBHOOKS and name == "host"
        yield replace(found, label=label, hint=labels.WHOLE_ADDRESS if is_place else found.hint)


def _targets_field(tokens: Mapping[str, Any], required: bool) -> Field:
    """Return the recipient field: one per channel, so that a retry reaches nobody twice."""
    group = [tokens[name] for name in sorted(tokens[TARGETS].get("group", ())) if name in tokens]
    labels = [str(entry["name"]).removeprefix("Target ") for entry in group]
    marked = [
        f"{entry['prefix']}{label}"
        for entry, label in zip(group, labels, strict=True)
        if entry.get("prefix")
    ]
    single = group[0] if len(group) == 1 else {}
    return Field(
        name=TARGETS,
        label=" / ".join(map(_label, labels)) or str(tokens[TARGETS]["name"]),
        control="text",
        required=required,
        hint=" · ".join(marked) if len(group) > 1 else "",
        prefix=str(single.get("prefix") or ""),
    )


def _options(details: Mapping[str, Any], scheme: str) -> tuple[Field, ...]:
    """Return the optional arguments a URL may carry, and key-value pairs such as HTTP headers."""
    arguments = [
        _field(name, entry)
        for name, entry in details["args"].items()
        if "alias_of" not in entry
        and name not in _COMMON
        and is_settable(name, scheme)
        and name not in details["tokens"]
    ]
    pairs = [
        Field(name, _label(str(entry["name"])), "pairs", prefix=str(entry["prefix"]))
        for name, entry in (details["kwargs"] or {}).items()
        if name != "tokens"  # they fill in a template file
    ]
    return (*arguments, *pairs)


def _field(name: str, entry: Mapping[str, Any], *, required: bool = False) -> Field:
    kind = str(entry["type"])
    default = entry.get("default")
    return Field(
        name=name,
        label=_label(str(entry["name"])),
        control=_control(kind, private=bool(entry.get("private"))),
        required=required,
        default="" if default is None or kind == "bool" else str(default),
        pattern=_pattern(entry.get("regex")),
        prefix=str(entry.get("prefix") or ""),
        choices=tuple(str(value) for value in entry.get("values") or ()),
        minimum=entry.get("min"),
        maximum=entry.get("max"),
    )


def _label(name: str) -> str:
    return labels.FIELD_LABELS.get(name, name)


def _control(kind: str, *, private: bool) -> Control:
    if kind.startswith("choice"):
        return "choice"
    if kind in ("int", "float"):
        return "number"
    return "flag" if kind == "bool" else "secret" if private else "text"


def _pattern(regex: Any) -> re.Pattern[str] | None:
    """Compile Apprise's (pattern, flags); the only flag in use is `i`."""
    if not regex:
        return None
    pattern, flags = (regex, "") if isinstance(regex, str) else regex
    return re.compile(pattern, re.IGNORECASE if "i" in (flags or "") else 0)


def _takes_address(scheme: str) -> bool:
    plugin: Any = NotificationManager()[scheme]
    return plugin.parse_native_url is not NotifyBase.parse_native_url


def _words(label: str, names: Iterable[str], tokens: Mapping[str, Any]) -> str:
    names = list(names)
    also = [labels.ALSO_KNOWN_AS.get(name, "") for name in names]
    sms = "sms text message" if "target_phone" in tokens else ""
    return " ".join((label, *names, *also, sms)).casefold()
