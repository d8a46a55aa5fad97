"""Mails rendered once: correct for every reader, whatever goes in."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonish.delivery.transports.mail.mime import (
    MailContent,
    MailTemplate,
    parse_recipient,
    quoted_printable,
)
from soonish.errors import InvalidInput

SENDER = "Soonish <soonish@b.example>"
SLOTS = ("unsubscribe_url", "manage_url", "name")
VALUES = {
    "unsubscribe_url": "https://h.example/u/" + "t" * 200 + "?a=1&b=2",
    "manage_url": "https://h.example/manage/" + "m" * 200,
    "name": 'Zoë <b> & "Co"',
}
CONTENT = MailContent(
    subject="Rooftop cinema moved",
    text="Hello {{name}}\n.dot\n..two\nFrom here\n\nLeave: {{unsubscribe_url}}\n{{manage_url}}",
    html='<p>Hello {{name}}</p>\n<a href="{{unsubscribe_url}}">leave</a>\n{{manage_url}}\n',
)
FORMS = pytest.mark.parametrize("eight_bit", [True, False])


def template(content: MailContent = CONTENT, sender: str = SENDER) -> MailTemplate:
    return MailTemplate(content, sender, SLOTS, "unsubscribe_url")


def read(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return body.get_content().replace("\r\n", "\n")


@FORMS
def test_both_forms_say_the_same(eight_bit: bool):
    raw = template().render("you@c.example", "<n1.s2@b.example>", VALUES, eight_bit=eight_bit)
    message = read(raw)
    expected = CONTENT.text
    for name, value in VALUES.items():
        expected = expected.replace("{{" + name + "}}", value)
    assert part(message, "plain").rstrip("\n") == expected
    assert '<a href="https://h.example/u/' in part(message, "html")
    assert "Zoë &lt;b&gt; &amp; &quot;Co&quot;" in part(message, "html")
    assert "?a=1&amp;b=2" in part(message, "html")
    assert eight_bit or raw.isascii()


@FORMS
def test_headers(eight_bit: bool):
    raw = template().render("you@c.example", "n1.s2", VALUES, eight_bit=eight_bit)
    message = read(raw)
    assert message["to"] == "you@c.example"
    assert message["from"] == "Soonish <soonish@b.example>"
    assert message["message-id"] == "<n1.s2@b.example>"
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert message["auto-submitted"] == "auto-generated"
    assert message["date"].datetime.tzinfo is not None
    line = f"List-Unsubscribe: <{VALUES['unsubscribe_url']}>\r\n".encode()
    assert line in raw  # one line, no encoded word


def test_a_mail_without_slots_and_with_reply_to():
    content = MailContent("Hi", "text", "<p>html</p>", reply_to="Ann <ann@c.example>")
    message = read(MailTemplate(content, "soonish@b.example").render("you@c.example", "<a@b>"))
    assert message["reply-to"] == "Ann <ann@c.example>"
    assert message["from"] == "soonish@b.example"
    assert "list-unsubscribe" not in message


@pytest.mark.parametrize(
    "subject", ["Größe", "日本語" * 60, "a " * 400, "=?utf-8?q?x?=", "🎬", "x" * 950]
)
def test_subjects_survive(subject: str):
    content = MailContent(subject, "t", "h")
    raw = MailTemplate(content, "Sööni <s@b.example>").render("you@c.example", "<a@b>")
    assert read(raw)["subject"] == subject
    assert read(raw)["from"].addresses[0].display_name == "Sööni"
    assert raw.split(b"\r\n\r\n")[0].isascii()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998


@pytest.mark.parametrize("field", ["subject", "reply_to", "sender"])
@pytest.mark.parametrize(
    "evil", ["a\r\nBcc: v@example.org", "a\nBcc: x", "a\rb", "a\x00b", "a\x0bb"]
)
def test_line_breaks_in_headers_are_refused(field: str, evil: str):
    values = {"subject": "s", "reply_to": "a@c.example", "sender": SENDER}
    values[field] = evil if field == "subject" else f"{evil} <a@c.example>"
    content = MailContent(values["subject"], "t", "h", values["reply_to"])
    with pytest.raises(InvalidInput) as caught:
        MailTemplate(content, values["sender"])
    assert caught.value.errors[0].field == field


@pytest.mark.parametrize(
    "value",
    ["https://h/\r\nBcc: v@example.org", "https://h/a b", "https://h/<x>", "", "https://h/ü"],
)
def test_unsubscribe_links_that_do_not_belong_in_a_header(value: str):
    with pytest.raises(InvalidInput):
        template().render("you@c.example", "<a@b>", {**VALUES, "unsubscribe_url": value})


@pytest.mark.parametrize("message_id", ["", "<a b@c>", "a\r\nX: y", "<>", "x" * 500])
def test_message_ids_that_are_none(message_id: str):
    with pytest.raises(InvalidInput):
        template().render("you@c.example", message_id, VALUES)


def test_missing_values_and_unknown_slots():
    with pytest.raises(InvalidInput):
        template().render("you@c.example", "<a@b>", {"name": "x"})
    with pytest.raises(InvalidInput):
        MailTemplate(MailContent("s", "{{nobody}}", "h"), SENDER)


@pytest.mark.parametrize(
    "address",
    [
        "nobody",
        "@c.example",
        "me@",
        'a@b@c.example"x"',
        "a,b@c.example",
        "a@c.example,b@c.example",
        ".a@c.example",
        "",
        "a..b@c.example",
        "<a@c.example>",
        "a@c.exam\tple",
        "a(b)@c.example",
        "a@b\r\nc",
        "a b@c.d",
    ],
)
def test_addresses_that_are_none(address: str):
    with pytest.raises(InvalidInput):
        parse_recipient(address)


def test_international_addresses():
    assert parse_recipient("me@bücher.example").address == "me@xn--bcher-kva.example"
    assert parse_recipient("me@bücher.example").is_ascii
    assert not parse_recipient("mé@bücher.example").is_ascii


@given(st.text(), st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=120))
def test_any_text_and_value_survive_in_lines_of_legal_length(text: str, name: str):
    text = text.replace("{", "(")
    content = MailContent("s", f"{text}{{{{name}}}}{text}", f"{text}{{{{name}}}}")
    made = MailTemplate(content, SENDER, ("name",))
    for eight_bit in (True, False):
        raw = made.render("you@c.example", "<a@b>", {"name": name}, eight_bit=eight_bit)
        assert max(len(line) for line in raw.split(b"\r\n")) <= 998
        payload = message_from_bytes(raw).get_payload()
        assert isinstance(payload, list)
        data = payload[0].get_payload(decode=True)
        expected = f"{text}{name}{text}".replace("\r\n", "\n").replace("\r", "\n")
        expected = expected.encode("utf-8", "surrogateescape").replace(b"\n", b"\r\n")
        assert data.rstrip(b"\r\n") == expected.rstrip(b"\r\n")


@given(st.text(st.characters(codec="utf-8")))
def test_quoted_printable_lines_are_short(text: str):
    crlf = "\r\n".join(text.splitlines())
    assert all(len(line) <= 76 for line in quoted_printable(crlf).split(b"\r\n"))
