"""Check the URLs that users store as channels (docs/architecture.md#apprise)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from apprise.plugins.base import NotifyBase
from apprise.plugins.zulip import NotifyZulip

from soonish.config import Settings
from soonish.delivery.transports.apprise import schemes
from soonish.delivery.transports.apprise.plugins import (
    InvalidTarget,
    ManyTargets,
    build,
    is_hosted,
    kind_of,
    parse,
)
from soonish.delivery.transports.egress.addresses import is_localhost, is_permitted, parse_literal
from soonish.errors import InvalidInput
from soonish.i18n import _

LONGEST_URL: Final = 2048

_SCHEME = re.compile(r"([a-z0-9]{1,32})://", re.IGNORECASE | re.ASCII)
_NEXT_URL = re.compile(r"[\s,;]+[a-z0-9]{1,32}://", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO = frozenset(("", "no", "false", "off", "0", "n", "0.0"))
_YES = frozenset(("", "yes", "true", "on", "1", "y"))
# Refused arguments, with the values that are allowed because they are forced anyway.
_DENIED: Final[dict[str, frozenset[str]]] = {
    "verify": _YES,
    "redirect": _NO,
    "optional": _NO,
    "retry": _NO,
    "wait": _NO,
    "overflow": frozenset(("upstream", "truncate")),
    "rto": frozenset(),
    "cto": frozenset(),
    "batch": _NO,
    "cc": frozenset(("",)),
    "bcc": frozenset(("",)),
    "tag": frozenset(),
    "keyfile": frozenset(),
    "subfile": frozenset(),
    "pgp": _NO | {"none"},
    "pgppub": frozenset(),
    "pgpprv": frozenset(),
    "wkd": _NO,
}


@dataclass(frozen=True)
class ChannelInfo:
    """The public part of a channel: `kind` (its service) and `target` (a host, no secrets)."""

    kind: str
    target: str


def check_url(url: str, settings: Settings) -> ChannelInfo:
    """Check that `url` may be stored as a channel, and return what may be shown of it.

    Raises only InvalidInput, on the field `apprise_url` with a code `integration_url_*`.
    """
    plugin = load_plugin(url)
    _check_place(plugin, settings)
    return ChannelInfo(kind_of(plugin), _shown_target(plugin))


def load_plugin(url: str) -> NotifyBase:
    """Check all rules except those on literal addresses, and build the plugin object.

    Raises InvalidInput as check_url does. Every send calls this too.
    """
    _check_text(url)
    try:
        parts = parse(url.strip())
        _check_arguments(parts)
        return build(parts)
    except ManyTargets as error:
        message = _("The URL names several recipients; give each a channel of its own.")
        raise _refusal("multiple_targets", message) from error
    except InvalidTarget as error:
        message = _("Apprise cannot read this URL; check it for a typo.")
        raise _refusal("invalid", message) from error


def _refusal(code: str, message: str) -> InvalidInput:
    return InvalidInput("apprise_url", message, code=f"integration_url_{code}")


def _check_text(url: object) -> None:
    if not isinstance(url, str) or not url.strip():
        raise _refusal("invalid", _("Give an Apprise URL such as ntfy://topic."))
    url = url.strip()
    if len(url) > LONGEST_URL:
        message = _("The URL is longer than %(count)s characters.", count=LONGEST_URL)
        raise _refusal("invalid", message)
    match = _SCHEME.match(url)
    if match is None:
        message = _("The URL needs a service in front, such as ntfy:// or json://.")
        raise _refusal("invalid", message)
    if _NEXT_URL.search(url, match.end()):
        raise _refusal("multiple_targets", _("Give one URL; add further channels one by one."))
    if _CONTROL.search(unquote(unquote(unquote(url)))):  # plugins decode some parts again
        raise _refusal("invalid", _("The URL holds control characters."))
    if re.split(r"[/\\?#]", url[match.end() :], maxsplit=1)[0].count("@") > 1:
        raise _refusal("invalid", _("Write an @ in the user name or password as %40."))
    _check_scheme(match[1].lower())


def _check_scheme(scheme: str) -> None:
    """Refuse schemes that a user may not store; Apprise recognises web addresses later."""
    if scheme in schemes.ALLOWED or scheme in ("http", "https"):
        return
    if scheme in schemes.LOCAL:
        message = _(
            "%(service)s acts on the server itself and is not allowed.", service=f"{scheme}://"
        )
        raise _refusal("local", message)
    raise _refusal("scheme_denied", _why_not(scheme))


def _why_not(scheme: str) -> str:
    service = f"{scheme}://"
    if scheme in schemes.RAW_SOCKET:
        return _(
            "%(service)s uses a protocol of its own that Soonish does not open.", service=service
        )
    if scheme in schemes.LOCAL_FILES:
        return _("%(service)s needs files on the server.", service=service)
    return _("%(service)s is no service that Soonish knows.", service=service)


def _check_arguments(parts: dict[str, Any]) -> None:
    """Check the arguments that the plugin gets, including those of a service's web address."""
    scheme = str(parts["schema"])
    arguments: dict[str, str] = parts.get("qsd") or {}
    for name, value in arguments.items():
        harmless = _harmless_values(name.strip().lower(), scheme)
        if harmless is not None and value.strip().lower() not in harmless:
            message = _(
                "The argument “%(name)s” is not allowed in a channel's URL.", name=name[:40]
            )
            raise _refusal("argument_denied", message)


def is_settable(name: str, scheme: str) -> bool:
    """Return True if a user may set this argument to any value in a URL of this scheme."""
    return _harmless_values(name, scheme) is None


def _harmless_values(name: str, scheme: str) -> frozenset[str] | None:
    """Return the values that are allowed for the argument; None if any is."""
    if name[:1] == "+" and name[1:].strip().lower() in schemes.CONNECTION_HEADERS:
        return frozenset()
    if name == "template" and scheme not in schemes.SERVICE_TEMPLATES:
        return frozenset()
    if name == "tags" and scheme in ("apprise", "apprises"):
        return frozenset()
    if name == "method" and scheme in schemes.WEBHOOKS:
        return frozenset(("", "post"))
    return _DENIED.get(name)


def _check_place(plugin: NotifyBase, settings: Settings) -> None:
    """Refuse literal addresses that no delivery may reach.

    Names are checked when they resolve, at each connection.
    """
    if is_hosted(plugin):
        return
    port: object = plugin.port
    if port is not None and not (isinstance(port, int) and 1 <= port <= 65535):
        raise _refusal("invalid", _("The port must be between 1 and 65535."))
    for host in _hosts(plugin):
        address = parse_literal("127.0.0.1" if is_localhost(host) else host)
        if address is not None and not is_permitted(address, settings.allowed_networks):
            message = _("The address is private or local; Soonish sends to public addresses only.")
            raise _refusal("blocked_target", message)


def _hosts(plugin: NotifyBase) -> list[str]:
    """Return the plugin's hosts: the server of a mail channel, else the URL's host."""
    if isinstance(plugin, NotifyZulip):
        return [f"{plugin.organization}.{plugin.hostname}"]
    smtp: object = getattr(plugin, "smtp_host", None)
    host: object = plugin.host
    return [h for h in ((smtp,) if smtp else (host,)) if isinstance(h, str) and h]


def _shown_target(plugin: NotifyBase) -> str:
    hosts = [] if is_hosted(plugin) else _hosts(plugin)
    return (hosts[0] if hosts else str(plugin.service_name)).strip("[]")[:255]
