"""What may be stored as a channel."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from apprise.manager_plugins import NotificationManager
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from soonish.config import Settings
from soonish.delivery.transports.apprise import schemes
from soonish.delivery.transports.apprise.urls import ChannelInfo, check_url
from soonish.errors import InvalidInput
from tests.delivery.test_addresses import SPELLINGS

KNOWN = sorted(NotificationManager().schemas())
TOKEN = "a" * 24


def refusal(url: str, settings: Settings) -> str:
    with pytest.raises(InvalidInput) as caught:
        check_url(url, settings)
    assert caught.value.errors[0].field == "apprise_url"
    return caught.value.code


@pytest.fixture
def strict(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for()


@pytest.mark.parametrize(
    ("url", "kind", "target"),
    [
        ("json://hooks.example.org/secret", "json", "hooks.example.org"),
        ("jsons://user:pass@hooks.example.org:8443/secret?+X-Key=v", "json", "hooks.example.org"),
        ("xmls://hooks.example.org", "xml", "hooks.example.org"),
        ("form://hooks.example.org", "form", "hooks.example.org"),
        ("ntfy://secret-topic", "ntfy", "ntfy"),
        ("ntfys://push.example.org/secret-topic", "ntfy", "push.example.org"),
        ("gotifys://push.example.org/secrettoken", "gotify", "push.example.org"),
        (f"discord://{'1' * 18}/{'t' * 60}", "discord", "Discord"),
        ("https://discord.com/api/webhooks/" + "1" * 18 + "/" + "t" * 60, "discord", "Discord"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544", "tgram", "Telegram"),
        ("mailtos://me:secret@gmail.com", "mailto", "smtp.gmail.com"),
        (
            "mailto://me:pw@example.org?smtp=mx.example.org&to=a@b.example",
            "mailto",
            "mx.example.org",
        ),
        ("matrixs://user:pw@matrix.example.org/!room", "matrix", "matrix.example.org"),
        ("mmosts://chat.example.org/token123", "mmost", "chat.example.org"),
        ("rockets://user:pw@chat.example.org/#general", "rocket", "chat.example.org"),
        (
            "json://h.example?retry=0&wait=0.0&optional=no&verify=yes&redirect=no",
            "json",
            "h.example",
        ),
    ],
)
def test_usable_urls_and_what_is_shown_of_them(url: str, kind: str, target: str, strict: Settings):
    assert check_url(url, strict) == ChannelInfo(kind, target)


@pytest.mark.parametrize("scheme", KNOWN)
def test_every_scheme_of_apprise_is_listed_or_refused(scheme: str, strict: Settings):
    groups = (schemes.ALLOWED, schemes.LOCAL, schemes.RAW_SOCKET, schemes.LOCAL_FILES)
    assert sum(scheme in group for group in groups) == 1
    if scheme not in schemes.ALLOWED:
        expected = "local" if scheme in schemes.LOCAL else "scheme_denied"
        assert refusal(f"{scheme}://host/path", strict) == f"integration_url_{expected}"


def test_every_listed_scheme_is_one_of_apprise():
    assert set(KNOWN) >= schemes.ALLOWED
    assert not schemes.HOSTED & schemes.BY_HOST


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "invalid"),
        ("   ", "invalid"),
        ("no url", "invalid"),
        ("json://", "invalid"),
        ("json://h.example:99999/", "invalid"),
        ("json://h.example/" + "x" * 3000, "invalid"),
        ("json://h.example/%0d%0aX: y", "invalid"),
        ("json://h.example/?+X-A=a%0d%0aX-B:%20b", "invalid"),
        ("https://example.org/hook", "invalid"),
        ("file:///etc/passwd", "scheme_denied"),
        ("memory://", "scheme_denied"),
        ("nosuch://host", "scheme_denied"),
        ("irc://host/#room", "scheme_denied"),
        ("vapid://me@example.org/you@example.org", "scheme_denied"),
        ("syslog://", "local"),
        ("dbus://", "local"),
        ("json://a.example,json://b.example", "multiple_targets"),
        ("json://a.example json://b.example", "multiple_targets"),
        ("ntfy://push.example.org/one/two", "multiple_targets"),
        ("ntfy://push.example.org/one,two", "multiple_targets"),
        ("mailto://me:pw@example.org?to=a@b.example,c@d.example", "multiple_targets"),
        ("bulksms://user:pw@+18005550001/+18005550002?batch=no", "multiple_targets"),
        ("bulksms://user:pw@+18005550001/+18005550002?batch=yes", "argument_denied"),
    ],
)
def test_refusals(url: str, code: str, strict: Settings):
    assert refusal(url, strict) == f"integration_url_{code}"


@pytest.mark.parametrize(
    "argument",
    [
        "verify=no",
        "redirect=yes",
        "optional=yes",
        "retry=3",
        "wait=5",
        "rto=60",
        "cto=60",
        "overflow=split",
        "method=GET",
        "template=/etc/passwd",
        "keyfile=/etc/passwd",
        "tag=x",
        "+Host=internal",
        "+content-length=3",
        "VERIFY=no",
        "%76erify=no",
        "+Transfer-Encoding=chunked",
        "retry=0&retry=2",
    ],
)
def test_arguments_that_reach_inside_are_named(argument: str, strict: Settings):
    with pytest.raises(InvalidInput) as caught:
        check_url(f"json://h.example/?{argument}", strict)
    assert caught.value.code == "integration_url_argument_denied"
    name = argument.split("=")[0].replace("%76", "v").lower()
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "mailto://me:pw@example.org?pgp=encrypt",
        "mailto://me:pw@example.org?pgppub=/etc/passwd",
        "mailto://me:pw@example.org?wkd=yes",
        "mailto://me:pw@example.org?bcc=victim@example.org",
        f"fcm://project@{TOKEN}/device?keyfile=/etc/passwd",
        f"discord://{'1' * 18}/{'t' * 60}?template=/etc/passwd",
        "apprise://h.example/token?tags=all",
    ],
)
def test_files_and_further_recipients_are_refused(url: str, strict: Settings):
    assert refusal(url, strict) == "integration_url_argument_denied"


HOSTS = [
    "127.0.0.1", "localhost", "a.localhost", "10.0.0.1", "192.168.1.1", "169.254.169.254",
    "0x7f000001", "2130706433", "017700000001", "127.1", "[::1]", "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "100.64.0.1", "0.1.2.3", "[fe80::1]",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "url", ["json://{}/x", "ntfy://{}/topic", "gotify://{}/token", "mailto://u:p@b.example?smtp={}"]
)
def test_closed_literal_addresses_are_refused_when_stored(url: str, host: str, strict: Settings):
    # Apprise itself does not read some of these spellings; then the URL is invalid. To ntfy,
    # 127.1 is a topic at ntfy.sh.
    if (url[:4], host) == ("ntfy", "127.1"):
        assert check_url(url.format(host), strict).target == "ntfy"
        return
    code = refusal(url.format(host), strict)
    assert code in ("integration_url_blocked_target", "integration_url_invalid")
    if host.count(".") == 3 or host == "localhost":
        assert code == "integration_url_blocked_target"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_a_closed_address_is_stored(spelling: str, strict: Settings):
    for url in (f"json://{spelling}/x", f"mailto://u:p@b.example?smtp={spelling}"):
        assert refusal(url, strict) in ("integration_url_blocked_target", "integration_url_invalid")


def test_allowed_networks_open_literals(loopback: Settings):
    assert check_url("json://127.0.0.1:8080/x", loopback).target == "127.0.0.1"
    assert check_url("json://localhost:8080/x", loopback).target == "localhost"
    assert refusal("json://10.0.0.1/x", loopback) == "integration_url_blocked_target"


URLS = st.one_of(
    st.text(max_size=200),
    st.builds("{}://{}".format, st.sampled_from(KNOWN), st.text(max_size=200)),
    st.builds(
        "{}://{}:{}@{}:{}/{}?{}={}".format,
        st.sampled_from(sorted(schemes.ALLOWED)),
        *[st.text(st.characters(codec="utf-8"), max_size=30) for _ in range(7)],
    ),
)


@given(URLS)
@hypothesis_settings(max_examples=500, deadline=None)
def test_any_text_is_judged_quickly_and_never_crashes(url: str):
    settings = Settings(_env_file=None)  # pyright: ignore[reportCallIssue]
    started = time.perf_counter()
    with suppress(InvalidInput):
        assert check_url(url, settings).kind
    assert time.perf_counter() - started < 0.5
