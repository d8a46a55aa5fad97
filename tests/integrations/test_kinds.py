"""Every service has a form, and the URL that comes of it is one that Soonish takes."""

from __future__ import annotations

import re
from functools import cache

import pytest
from hypothesis import find, settings
from hypothesis import strategies as st

from soonish.delivery.transports.apprise import schemes
from soonish.delivery.transports.apprise.urls import load_plugin
from soonish.domain.integrations.form_urls import url_from
from soonish.domain.integrations.kinds import (
    PASTED,
    Field,
    Kind,
    all_kinds,
    search,
    tokens_of,
)
from soonish.domain.integrations.labels import POPULAR
from soonish.errors import InvalidInput

KINDS = sorted(all_kinds())
# What a service asks for beyond what Apprise's metadata says.
SPECIAL = {
    ("github", "token"): "ghp_abcdefghij",
    ("groundmail", "from_addr"): "ana@example.org",
    ("humhub", "targets"): "7",
    ("octopush", "api_login"): "ana@example.org",
    ("pagertree", "integration"): "int_abcdefghij",
    ("plivo", "auth_id"): "MA" + "A1" * 11 + "A",
    ("postmark", "from_email"): "ana@example.org",
    ("resend", "from_addr"): "ana@example.org",
    ("rocket", "webhook"): "aBc123/dEf456",
    ("sendpulse", "host"): "example.org",
    ("session", "password"): "ab" * 32,
    ("session", "user"): "cd" * 32,
    ("ses", "region"): "eu-west-1",
    ("threema", "gateway_id"): "*SOONISH",
}


USUAL = (
    "abcdefghij0123456789",
    "aB3" * 11,
    *("0a" * (length // 2) for length in (8, 16, 24, 32, 36, 40, 64)),
    "12345678-1234-4abc-8abc-1234567890ab",
    "1234567890",
    "1234567890:abcdefghij",
)


@cache
def matching(pattern: str, flags: int) -> str:
    """A text that a pattern of Apprise takes; the simplest where no usual one fits."""
    for text in USUAL:
        if re.fullmatch(pattern, text, flags):
            return text
    texts = st.from_regex(
        re.compile(pattern, flags), fullmatch=True, alphabet=st.characters(codec="ascii")
    )
    good = re.compile(r"[!-~]+")
    return find(
        texts,
        lambda text: good.fullmatch(text) is not None,
        settings=settings(database=None, derandomize=True, max_examples=2000),
    )


def example(kind: Kind, field: Field) -> str:
    if special := SPECIAL.get((kind.name, field.name)):
        return special
    if field.choices:
        return field.choices[0]
    if field.control == "number":
        return str(int(field.minimum or 1))
    if field.name == "host" and not field.pattern:
        return "chat.example.org"
    words = f"{field.name} {field.label}".casefold()
    usual = "+15551234567" if "phone" in words else "ana@example.org" if "mail" in words else ""
    if field.pattern and field.name != "targets" and not field.pattern.match(usual):
        return matching(field.pattern.pattern, field.pattern.flags)
    return usual or "abcdefghij0123456789"


def filled(kind: Kind, template: str) -> dict[str, str]:
    fields = {field.name: field for field in kind.tokens}
    return {name: example(kind, fields[name]) for name in tokens_of(template)}


def test_every_allowed_scheme_has_its_form() -> None:
    covered = {name for kind in all_kinds().values() for name in (kind.plain, kind.secure)}
    words = {word for kind in all_kinds().values() for word in kind.words.split()}
    assert covered - {""} <= schemes.ALLOWED
    assert words >= schemes.ALLOWED
    assert set(POPULAR) <= set(all_kinds())


@pytest.mark.parametrize("name", KINDS)
def test_a_filled_form_makes_a_url_that_is_taken(name: str) -> None:
    kind = all_kinds()[name]
    refused: dict[str, str] = {}
    for template in kind.templates:
        url = url_from(kind, filled(kind, template))
        assert url.split("://")[0] in (kind.plain, kind.secure)
        try:
            load_plugin(url)
        except InvalidInput as error:
            refused[template] = error.errors[0].message
    # Apprise names some shapes that its plugin then does not take alone
    assert len(refused) < len(kind.templates), refused


@pytest.mark.parametrize("name", KINDS)
def test_an_empty_form_names_what_is_missing(name: str) -> None:
    kind = all_kinds()[name]
    with pytest.raises(InvalidInput) as caught:
        url_from(kind, {})
    named = {error.field for error in caught.value.errors}
    if kind.takes_address:
        assert named == {PASTED}
    else:
        assert named <= {field.name for field in kind.tokens}
        assert named >= {field.name for field in kind.tokens if field.required}


def test_values_are_quoted_and_hosts_may_be_pasted_as_addresses() -> None:
    gotify = all_kinds()["gotify"]
    url = url_from(gotify, {"host": "https://push.example.org/", "token": "a/b?c#d e"})
    assert url == "gotifys://push.example.org/a%2Fb%3Fc%23d%20e"
    values = {"host": "push.example.org", "token": "abc", "path": "deep/er", "port": "8080"}
    assert url_from(gotify, values, encrypted=False) == "gotify://push.example.org:8080/deep/er/abc"


def test_options_and_headers_reach_the_plugin() -> None:
    kind = all_kinds()["json"]
    values = {"host": "hooks.example.org", "headers": "X-Key=a b&c\nX-Other=1", "params": "q=1"}
    plugin = load_plugin(url_from(kind, values))
    assert plugin.headers == {"X-Key": "a b&c", "X-Other": "1"}
    assert plugin.params == {"q": "1"}
    ntfy = load_plugin(url_from(all_kinds()["ntfy"], {"targets": "cinema", "priority": "high"}))
    assert str(ntfy.priority) in ("4", "high")


def test_headers_of_the_connection_stay_refused() -> None:
    values = {"host": "hooks.example.org", "headers": "Host=internal"}
    with pytest.raises(InvalidInput, match="not allowed"):
        load_plugin(url_from(all_kinds()["json"], values))


def test_a_pasted_address_needs_nothing_else() -> None:
    discord = all_kinds()["discord"]
    assert discord.takes_address
    address = f"https://discord.com/api/webhooks/{'1' * 18}/{'a' * 68}"
    assert url_from(discord, {PASTED: address}) == address
    load_plugin(address)
    with pytest.raises(InvalidInput) as caught:
        url_from(discord, {PASTED: "discord.com/api"})
    assert caught.value.errors[0].field == PASTED


def test_what_does_not_go_together_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        url_from(all_kinds()["ntfy"], {"targets": "cinema", "password": "secret-word"})
    assert {error.field for error in caught.value.errors} == {"host", "user"}
    slack = all_kinds()["slack"]
    token = matching(r"^(?:xoxe\.)?xox[abp]-[A-Z0-9-]+$", re.IGNORECASE)
    with pytest.raises(InvalidInput) as caught:
        url_from(slack, {"access_token": token, "token_a": "A1"})
    assert len(caught.value.errors) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("port", "0"), ("port", "65536"), ("port", "x"), ("headers", "no equals sign")],
)
def test_a_wrong_value_is_named(field: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        url_from(all_kinds()["json"], {"host": "hooks.example.org", field: value})
    assert [error.field for error in caught.value.errors] == [field]


def test_denied_arguments_are_not_offered() -> None:
    for kind in all_kinds().values():
        names = {field.name for field in (*kind.tokens, *kind.options)}
        assert not names & {"keyfile", "subfile", "verify", "redirect", "retry", "cc", "bcc", "rto"}


@pytest.mark.parametrize(
    ("query", "first"),
    [("discord", "discord"), ("TEAMS", "workflow"), ("webhook json", "json"), ("telegr", "tgram")],
)
def test_search_finds_services_by_what_people_call_them(query: str, first: str) -> None:
    assert search(query)[0].name == first


def test_search_starts_with_the_popular_and_leaves_none_out() -> None:
    found = [kind.name for kind in search("")]
    assert tuple(found[: len(POPULAR)]) == POPULAR
    assert sorted(found) == KINDS
    assert search("no such service at all") == []
    assert "twilio" in {kind.name for kind in search("sms")}


def test_a_webhook_has_a_path() -> None:
    json = all_kinds()["json"]
    url = url_from(json, {"host": "hooks.example.org", "path": "/a b/c/"}, encrypted=False)
    assert url == "json://hooks.example.org/a%20b/c/"
    assert load_plugin(url).fullpath == "/a%20b/c/"


@pytest.mark.parametrize("name", ["json", "xml", "form"])
def test_a_whole_address_in_the_hosts_field_is_taken_apart(name: str) -> None:
    address = "https://ana:b%40c@hooks.example.org:8443/x/y%2Fz/?t=1&u=a%26b"
    values = {"host": address, "params": "v=2"}
    plugin = load_plugin(url_from(all_kinds()[name], values, encrypted=False))
    assert (plugin.secure, plugin.host, plugin.port) == (True, "hooks.example.org", 8443)
    assert (plugin.user, plugin.password, plugin.fullpath) == ("ana", "b@c", "/x/y%2Fz/")
    assert plugin.params == {"v": "2", "t": "1", "u": "a&b"}
    plain = url_from(all_kinds()[name], {"host": "http://[2001:db8::1]:8080/a"})
    assert plain == f"{name}://[2001:db8::1]:8080/a"


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("json", "two words"),
        ("json", "https://hooks.example.org:99999/"),
        ("json", "hooks.example.org/path"),
        ("ntfys", "https://ntfy.example.org/topic"),
    ],
)
def test_a_wrong_host_is_named(name: str, host: str) -> None:
    kind = all_kinds()[name.removesuffix("s")]
    with pytest.raises(InvalidInput) as caught:
        url_from(kind, {"host": host, "targets": "x"})
    assert [error.field for error in caught.value.errors] == ["host"]


def test_ntfy_asks_for_its_topic_and_mail_for_its_recipient() -> None:
    ntfy, mail = all_kinds()["ntfy"], all_kinds()["mailto"]
    assert not ntfy.takes_address
    assert [field.label for field in ntfy.tokens if field.required] == ["Topic"]
    required = [field.name for field in mail.tokens if field.required]
    assert required == ["host", "targets"]
