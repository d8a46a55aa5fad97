"""Arguments, targets and look-alikes with which a URL tries to reach more than it says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from soonish.config import Settings
from soonish.delivery.transports.apprise.cache import host_key
from soonish.delivery.transports.apprise.urls import check_url
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.outcome import Outcome
from soonish.delivery.transports.sender import Sender
from soonish.errors import InvalidInput
from tests.support.http_sink import HttpSink


def code_of(url: str, settings: Settings) -> str:
    with pytest.raises(InvalidInput) as caught:
        check_url(url, settings)
    return caught.value.code.removeprefix("integration_url_")


@pytest.fixture
def strict(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for()


@pytest.mark.parametrize(
    "url",
    [
        "humhub://token@h.example/1/2",
        "humhub://token@h.example/1?to=2",
        f"pushplus://{'a' * 32}/topicone/topictwo",
        f"wxpusher://AT_{'a' * 32}/UID_{'b' * 32}/UID_{'c' * 32}",
        "notifyre://apikey1234567890/+15551234567/+15557654321",
        "xmatters://key@h.example/8b799edf-6f98-4d3a-9be7-2862fb4e5752/ann/bob",
        "matrix://user:pw@h.example",
        "matrix://user:pw@h.example/%23a/%23b",
        "matrix://user:pw@h.example/%23a%2c%23b",
        "ntfy://h.example/a%2cb",
        "ntfy://h.example/a%20b",
        "ntfy://h.example/a?to=b",
        "ntfy://h.example/a?to=b%3bc",
        f"tgram://123456789:{'a' * 35}/12345/67890",
        f"twilio://AC{'a' * 32}:{'b' * 32}@+15551234567/+15557654321,+15557654322",
        "mailto://me:pw@b.example/a@c.example/b@c.example",
        "mailto://me:pw@b.example?to=a%40c.example%20b%40c.example",
        "rocket://u:p@h.example/%23a/@b",
        "mmost://h.example/token123?channels=a%2cb",
        "signal://h.example/+15551234567/+15557654321/+15557654322",
    ],
)
def test_several_recipients_in_disguise(url: str, strict: Settings):
    assert code_of(url, strict) in ("multiple_targets", "invalid")


async def test_none_of_them_is_sent_to_one_and_not_to_the_other(
    sender: Sender, message: Message, http_sink: HttpSink
):
    for path in ("1/2", "1?to=2"):
        url = f"humhub://token@127.0.0.1:{http_sink.port}/{path}"
        assert (await sender.send(url, message)).outcome is Outcome.INVALID_TARGET
    assert http_sink.connections == 0
    assert (await sender.send(f"humhub://token@127.0.0.1:{http_sink.port}/1", message)).ok


@pytest.mark.parametrize(
    "url",
    [
        "https://h.example/notify/token?tags=all",
        "https://h.example/notify/token?tag=all",
        "https://h.example/notify/token?verify=no",
        "http://h.example/notify/token?%74ags=all",
        "https://discord.com/api/webhooks/" + "1" * 18 + "/" + "t" * 60 + "?template=/etc/passwd",
        "https://discord.com/api/webhooks/" + "1" * 18 + "/" + "t" * 60 + "?optional=yes",
        "json://h.example/;method=GET?x=1;method=GET",
        "json://h.example/?x=1&Method=DELETE",
        "json://h.example/?x&method=TRACE&",
        "json://h.example/?method=POST&method=GET",
        "json://h.example/?+Host=x",
        "json://h.example/?%2BHost=x",
        "json://h.example/?+Proxy-Authorization=x",
        "mailto://me:pw@b.example?CC=a@c.example",
        "mailto://me:pw@b.example?b%63c=a@c.example",
    ],
)
def test_arguments_in_disguise(url: str, strict: Settings):
    assert code_of(url, strict) in ("argument_denied", "invalid")


@pytest.mark.parametrize(
    "url",
    [
        "ſyslog://", "ＪＳＯＮ://h.example", "jſon://h.example", "json\u200b://h.example",
        "json：//h.example", "js\u00adon://h.example", "jsоn://h.example", "json:/h.example",
        "json:\\\\h.example", "json+http://h.example", "javascript:alert(1)", "data:text/plain,x",
        "gopher://h.example", "dict://h.example", "ldap://h.example", "jar:http://h.example!/",
        "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/x",
        "file://localhost/etc/passwd", "memory://", "schan://", "json://u@1.2.3.4@h.example/",
        "json://h.example@@127.0.0.1/", "\u2028json://127.0.0.1/", "json://h.example/\u0000",
        "json://h.example/%00", "json://h.example/%2500", "json://h.example/%252500",
        "json://u%250d%250a:p@h.example/", "mailto://u:p@b.example?from=a%250d%250aBcc:x@c.example",
        "mailto://u:p@b.example?+X-A=b%250a%20c", "mailto://u:p@b.example?name=a%250ab",
    ],
)  # fmt: skip
def test_schemes_and_texts_in_disguise(url: str, strict: Settings):
    assert code_of(url, strict) in ("invalid", "scheme_denied", "local", "blocked_target")


@pytest.mark.parametrize(
    "url",
    [
        "zulip://bot@127.0.0.1/" + "a" * 32,
        "zulip://bot@10.0.0.1/" + "a" * 32 + "/stream",
        "betterstack://token1234567@127.0.0.1",
        "mailto://u:p@b.example?smtp=127.0.0.1",
        "mailto://u:p@b.example?smtp=%3127.0.0.1",
        "mailto://u:p@b.example?smtp=%2531%2532%2537.0.0.1",
        "mailto://u:p@gmail.com?smtp=localhost",
        "json://u:p@[::ffff:10.0.0.1]/",
    ],
)
def test_hosts_in_places_of_their_own_are_judged_too(url: str, strict: Settings):
    assert code_of(url, strict) in ("blocked_target", "invalid")


@pytest.mark.parametrize(
    "url",
    [
        "json://slow.example/a", "jsons://SLOW.example:8443/b", "json://slow.example./c",
        "json://u:p@slow.example/d", "ntfy:///slow.example/x", "json://\\\\slow.example/e",
        "mailto://u:p@a1.example?smtp=slow.example", "mailtos://u:p@a2.example?x=1&SMTP=slow.example",
    ],
)  # fmt: skip
def test_one_destination_has_one_share_of_the_threads(url: str):
    assert host_key(url) == "slow.example"


@pytest.mark.parametrize("host", ["1.2.3.4", "16909060", "0x1020304", "1.2.772", "0X1.2.3.4."])
def test_one_address_has_one_share_too(host: str):
    assert host_key(f"json://{host}/x") == "1.2.3.4"


async def test_a_guard_for_what_a_server_names_next(
    sender: Sender, message: Message, http_sink: HttpSink
):
    """Matrix asks its server where to go on; the answer may be any address."""
    from tests.support.http_sink import Reply

    inside = Reply(body=b'{"m.homeserver": {"base_url": "http://169.254.169.254"}}')
    http_sink.replies["/.well-known/matrix/client"] = inside
    url = f"matrix://user:pw@127.0.0.1:{http_sink.port}/!room:h.example?discovery=yes"
    result = await sender.send(url, message)
    assert not result.ok
    assert result.outcome in (Outcome.BLOCKED_TARGET, Outcome.REJECTED)
