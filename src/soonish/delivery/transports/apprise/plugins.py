"""Build Apprise's plugin objects, overriding what a URL may not choose.

See docs/architecture.md#apprise.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, Final, cast

import apprise
from apprise import AppriseAsset, NotifyFormat, OverflowMode
from apprise.manager_plugins import NotificationManager
from apprise.plugins import url_to_dict
from apprise.plugins.base import NotifyBase
from apprise.plugins.matrix.base import MatrixWebhookMode, NotifyMatrix

from soonish.delivery.transports.apprise.schemes import ALLOWED, HOSTED

READ_SECONDS: Final = 15.0
# Attributes with a plugin's recipients. The len() of some (HumHub, PushPlus) is always 1.
_RECIPIENTS: Final = ("targets", "topics", "_topics", "users", "_users", "departments")

# Apprise's log lines contain tokens and addresses. A filter survives a later logging set-up, which
# may reset `disabled`.
_apprise_log = logging.getLogger("apprise")
_apprise_log.addFilter(lambda record: False)
_apprise_log.setLevel(logging.CRITICAL + 1)


class InvalidTarget(ValueError):
    """Apprise cannot use the URL, or the rules refuse it."""


class ManyTargets(InvalidTarget):
    """The URL names several recipients; a retry would reach the good ones again."""


class WaitRequested(Exception):
    """A plugin wanted to sleep before its next request; `seconds` is how long."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the service asks to wait")
        self.seconds = seconds


def _asset() -> AppriseAsset:
    return AppriseAsset(
        app_id="Soonish",
        app_desc="Soonish notifications",
        app_url="",
        async_mode=False,
        storage_mode="memory",
        http_redirects=False,
        interpret_escapes=False,
        secure_logging=False,  # nothing is logged, and masking costs half the parsing
        plugin_paths=[],
    )


_ASSET: Final = _asset()


def _throttle(last_io: object = None, wait: float | None = None) -> None:
    """Replace the plugins' sleeps: pacing is done elsewhere."""
    if wait is not None and wait > 0:
        raise WaitRequested(wait)


def _collect_quietly(_plugin: NotifyBase) -> None:
    """Replace destructors that log out over the network.

    Garbage is collected in any thread, even in those that no guard watches.
    """


@cache
def _replace_destructors() -> None:
    manager = NotificationManager()
    for scheme in manager.schemas():
        if hasattr(manager[scheme], "__del__"):
            manager[scheme].__del__ = _collect_quietly


def parse(url: str) -> dict[str, Any]:
    """Parse `url` with Apprise: `schema`, `qsd` (its arguments) and the plugin's parameters.

    A service's own web address is read as that service's URL. Raises InvalidTarget.
    """
    _replace_destructors()
    try:
        parts: dict[str, Any] | None = url_to_dict(url, secure_logging=False)
    except Exception as error:  # a plugin's parser may raise anything on hostile input
        raise InvalidTarget("Apprise cannot read this URL") from error
    if not parts:
        raise InvalidTarget("Apprise cannot read this URL")
    return parts


def build(parts: dict[str, Any]) -> NotifyBase:
    """Build the plugin object of a parsed URL. Raises InvalidTarget or ManyTargets."""
    try:
        plugin = apprise.Apprise.instantiate(parts, asset=_ASSET, suppress_exceptions=False)
        if plugin is None:
            raise InvalidTarget("Apprise cannot use this URL")
        force(plugin)
        targets = count_targets(plugin)
    except Exception as error:
        raise InvalidTarget("Apprise cannot use this URL") from error
    if not plugin.enabled:
        raise InvalidTarget("Apprise cannot use this URL")
    schemas = plugin_schemas(plugin)
    if not schemas or not schemas <= ALLOWED:
        raise InvalidTarget("this kind of service is not allowed")
    if targets > 1:
        raise ManyTargets(f"the URL names {targets} recipients")
    return plugin


def count_targets(plugin: NotifyBase) -> int:
    """Count the recipients of one notification.

    Matrix without a room counts as 2: it means all rooms that the account has joined.
    """
    held: list[object] = [getattr(plugin, name, None) for name in _RECIPIENTS]
    counts = [len(value) for value in held if isinstance(value, list | tuple | set)]
    return max(len(plugin), 2 if _means_all_rooms(plugin) else 1, *counts)


def _means_all_rooms(plugin: NotifyBase) -> bool:
    return (
        isinstance(plugin, NotifyMatrix)
        and plugin.mode == MatrixWebhookMode.DISABLED
        and not plugin.rooms
        and not plugin.users
    )


def force(plugin: NotifyBase) -> None:
    """Override the attributes that a user's URL may not choose."""
    forced: dict[str, Any] = {
        "verify_certificate": True,
        "redirects": False,
        "overflow_mode": OverflowMode.TRUNCATE,
        "retry": 0,
        "wait": 0.0,
        "optional": False,
        "request_rate_per_sec": 0.0,
        "socket_read_timeout": READ_SECONDS,
        "throttle": _throttle,
    }
    if hasattr(plugin, "batch"):
        forced["batch"] = False  # else several targets count as one
    for name, value in forced.items():
        setattr(plugin, name, value)


def _schemes(kind: type[NotifyBase]) -> list[str]:
    # Of the class: some objects reuse the name `protocol` for something else.
    declared: list[Any] = [kind.protocol, kind.secure_protocol]
    return [
        str(name)
        for names in declared
        for name in ((names,) if isinstance(names, str) else names or ())
    ]


def plugin_schemas(plugin: NotifyBase) -> set[str]:
    """Return all schemes of the plugin's class, e.g. {"json", "jsons"}."""
    return set(_schemes(type(plugin)))


def kind_of(plugin: NotifyBase) -> str:
    """Return the service's short name, its first scheme: "json" for json:// and jsons://."""
    return _schemes(type(plugin))[0]


def is_hosted(plugin: NotifyBase) -> bool:
    """Return True if the service has a fixed address, so that the URL's host is a token."""
    return bool(plugin_schemas(plugin) & HOSTED) or getattr(plugin, "mode", None) == "cloud"


def format_of(plugin: NotifyBase) -> NotifyFormat:
    """Return the plugin's own format, so that Apprise converts nothing."""
    declared = cast(object, plugin.notify_format)  # of some classes a list, whatever its type says
    return declared if isinstance(declared, NotifyFormat) else plugin.resolve_format(None)
