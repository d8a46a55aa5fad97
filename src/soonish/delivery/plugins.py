"""Apprise's plugin objects, with the settings forced that a URL may not choose (DESIGN 9)."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, Final

import apprise
from apprise import AppriseAsset, NotifyFormat, OverflowMode
from apprise.manager_plugins import NotificationManager
from apprise.plugins.base import NotifyBase

from soonish.delivery.schemes import ALLOWED, HOSTED

READ_SECONDS: Final = 15.0

# Apprise's log lines carry tokens and addresses. A filter outlives a later logging set-up, which
# may clear `disabled`.
_apprise_log = logging.getLogger("apprise")
_apprise_log.addFilter(lambda record: False)
_apprise_log.setLevel(logging.CRITICAL + 1)


class InvalidTarget(ValueError):
    """The URL is none that Apprise can use, or one that the rules refuse."""


class ManyTargets(InvalidTarget):
    """The URL names several recipients; a retry would reach the good ones again."""


class AskedToWait(Exception):
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
    """In place of the plugins' sleeps: rates are the scheduler's business (DESIGN 8)."""
    if wait is not None and wait > 0:
        raise AskedToWait(wait)


def _collect_quietly(_plugin: NotifyBase) -> None:
    """In place of destructors that log out over the network: garbage is collected in any
    thread, also in those that no guard watches."""


@cache
def _take_destructors() -> None:
    manager = NotificationManager()
    for scheme in manager.schemas():
        if hasattr(manager[scheme], "__del__"):
            manager[scheme].__del__ = _collect_quietly


def build(url: str) -> NotifyBase:
    """The plugin object of `url`, attributes forced. Raises InvalidTarget or ManyTargets."""
    _take_destructors()
    try:
        plugin = apprise.Apprise.instantiate(url, asset=_ASSET, suppress_exceptions=False)
        if plugin is None:
            raise InvalidTarget("Apprise cannot use this URL")
        force(plugin)
        targets = len(plugin)
    except Exception as error:  # a plugin's parser may raise anything on hostile input
        raise InvalidTarget("Apprise cannot use this URL") from error
    if not plugin.enabled:
        raise InvalidTarget("Apprise cannot use this URL")
    schemas = plugin_schemas(plugin)
    if not schemas or not schemas <= ALLOWED:
        raise InvalidTarget("this kind of service is not allowed")
    if targets > 1:
        raise ManyTargets(f"the URL names {targets} recipients")
    return plugin


def force(plugin: NotifyBase) -> None:
    """Set what a user's URL may not choose, whatever the URL said."""
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
    """All schemes of the plugin's class, e.g. {"json", "jsons"}."""
    return set(_schemes(type(plugin)))


def kind_of(plugin: NotifyBase) -> str:
    """The service's short name: its first plain scheme, e.g. "json" for json:// and jsons://."""
    return _schemes(type(plugin))[0]


def is_hosted(plugin: NotifyBase) -> bool:
    """True where the service's address is its own, so the URL's host place holds a token."""
    return bool(plugin_schemas(plugin) & HOSTED) or getattr(plugin, "mode", None) == "cloud"


def format_of(plugin: NotifyBase) -> NotifyFormat:
    """The format to hand the plugin, so that Apprise converts nothing."""
    return plugin.resolve_format(None)
