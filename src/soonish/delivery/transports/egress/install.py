"""Install the guard: replace the standard network functions in delivery threads.

`socket.create_connection` and urllib3's twin go through guard.py in delivery threads, and
`requests.request` through the guarded client (http/client.py). That covers smtplib, http.client
and requests; other threads keep the originals. The audit hook (audit_hook.py) is the last line of
defence.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import requests
import requests.api
import urllib3.util.connection

from soonish.config import Settings
from soonish.delivery.transports.attempt import current, in_delivery_thread
from soonish.delivery.transports.egress import audit_hook
from soonish.delivery.transports.egress.guard import connect
from soonish.delivery.transports.http import client
from soonish.delivery.transports.mail import capture

_SECRET_FILES = ("secrets.env", "soonish.db", "soonish.db-wal", "temporal.db", "temporal.db-wal")
_install_lock = threading.Lock()
_installed = False


def _create_connection(stock: Callable[..., socket.socket]) -> Callable[..., socket.socket]:
    def create_connection(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        if not in_delivery_thread():
            return stock(address, *args, **kwargs)
        sock = connect(address[0], int(address[1]))
        current().watch(sock.dup(), owned=True)
        return sock

    return create_connection


def _requests_entry(stock: Callable[..., requests.Response]) -> Callable[..., requests.Response]:
    def request(method: str, url: str, **kwargs: Any) -> requests.Response:
        """Call `requests.request`, or the guarded client in delivery threads."""
        entry = client.request if in_delivery_thread() else stock
        return entry(method, url, **kwargs)

    return request


def install(settings: Settings, extra_roots: Sequence[str] = ()) -> None:
    """Install the guard and the audit hook, once per process; it cannot be undone.

    The permitted networks belong to each attempt, from its sender's settings. `extra_roots` are
    further folders that delivery threads may read; they never read secrets and databases.
    """
    global _installed
    with _install_lock:
        if _installed:
            return
        _installed = True
        socket.create_connection = _create_connection(socket.create_connection)
        urllib3.util.connection.create_connection = _create_connection(
            urllib3.util.connection.create_connection
        )
        guarded = _requests_entry(requests.api.request)
        requests.api.request = guarded
        requests.request = guarded
        capture.install()
        audit_hook.install(
            extra_roots, closed=[str(settings.soonish_home / name) for name in _SECRET_FILES]
        )
