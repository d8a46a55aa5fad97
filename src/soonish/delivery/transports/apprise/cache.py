"""Plugin objects by Apprise URL, cached in each delivery thread (docs/architecture.md#apprise)."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from functools import lru_cache
from typing import Final
from urllib.parse import unquote, urlsplit

from apprise.plugins.base import NotifyBase
from apprise.utils.parse import parse_qsd

from soonish.delivery.transports.apprise.schemes import HOSTED
from soonish.delivery.transports.apprise.urls import load_plugin
from soonish.delivery.transports.egress.addresses import parse_literal

CACHE_LIMIT: Final = 256  # plugin objects per thread


class _Cache(threading.local):
    def __init__(self) -> None:
        self.plugins: OrderedDict[str, NotifyBase] = OrderedDict()


_cache = _Cache()


def instantiate(url: str) -> NotifyBase:
    """Return the calling thread's plugin object for `url`, from its cache of 256 or new.

    Objects hold state, so threads never share one. Raises InvalidInput as check_url does, except
    for literal addresses, which the guard checks when it connects.
    """
    plugins = _cache.plugins
    plugin = plugins.get(url)
    if plugin is None:
        plugin = load_plugin(url)
        plugins[url] = plugin
        if len(plugins) > CACHE_LIMIT:
            plugins.popitem(last=False)
    else:
        plugins.move_to_end(url)
    return plugin


def host_key(url: str) -> str:
    """Return the destination that shares threads: the hosted service, or the host."""
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme in HOSTED:
        return scheme
    if scheme in ("mailto", "mailtos") and "?" in rest:
        server = parse_qsd(rest.partition("?")[2])["qsd"].get("smtp")
        rest = unquote(server) if server else rest
    place = re.split(r"[/\\?#]", rest.lstrip("/\\"), maxsplit=1)[0]
    return _host(place.rpartition("@")[2]) or scheme


@lru_cache(maxsize=4096)
def _host(place: str) -> str:
    """Return the host of `host:port` as connections name it, "" if there is none."""
    try:
        host = urlsplit("//" + place).hostname or ""
    except ValueError:
        return ""
    return str(parse_literal(host) or host.rstrip("."))
