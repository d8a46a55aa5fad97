"""The account page: every form of it, what it shows, and that it is one's own alone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from soonish.domain.accounts.devices import device_name
from soonish.infra.db.models.accounts import Registration, Session
from soonish.web.rendering.templating import environment
from tests.web.site import Site, Visitor, text_of

SOURCE = Path(__file__).parents[2] / "src/soonish"
ACTION = re.compile(r"[a-z_]+\.[a-z_]+")


@pytest.fixture
async def ana(database: object, site: Site) -> Visitor:
    return await site.member("ana")


async def test_the_language_is_chosen_and_taken_back(site: Site, ana: Visitor):
    values = {"name": "Ana", "timezone": "Europe/Madrid"}
    german = await ana.follow(await ana.post("/account", locale="de", **values))
    assert '<html lang="de"' in german.text
    assert '<option value="de" selected>Deutsch' in german.text
    english = await ana.follow(await ana.post("/account", locale="", **values))
    assert '<html lang="en"' in english.text
    user = await site.user("ana")
    assert (user.name, user.timezone, user.locale) == ("Ana", "Europe/Madrid", None)


async def test_a_language_that_is_not_offered_stays_chosen(site: Site, ana: Visitor):
    await ana.client.patch("/api/users/me", json={"locale": "pt-BR"})
    page = await ana.get("/account")
    assert '<option value="pt-BR" selected>Português' in page.text


async def test_a_mistake_in_one_form_leaves_the_others_as_they_are(site: Site, ana: Visitor):
    await ana.post("/account", name="Ana O.", timezone="Europe/Madrid", locale="")
    for wrong, field in (({"email": "nobody"}, "email"), ({"password": "short"}, "password")):
        answer = await ana.post("/account", **wrong)
        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.text
        assert 'value="Ana O."' in answer.text
        assert 'value="Europe/Madrid" selected' in answer.text


async def test_a_new_address_is_asked_for_proof(site: Site, ana: Visitor):
    said = await ana.follow(await ana.post("/account", email="ana@example.net"))
    assert "Until then nothing changes" in text_of(said)
    assert len(await site.rows(Registration)) == 1
    assert "ana@example.org" in text_of(said)


async def test_sessions_are_named_and_ended(site: Site, ana: Visitor):
    for _ in range(2):
        await site.member("ana")
    page = await ana.get("/account")
    assert "This device" in text_of(page)
    (first, second) = re.findall(r"/account/sessions/(\d+)/end", page.text)
    await ana.follow(await ana.post(f"/account/sessions/{first}/end"))
    assert len(await site.rows(Session, Session.ended_at.is_not(None))) == 1
    assert "Test browser" in text_of(page)
    stranger = await site.member("eve")
    assert (await stranger.post(f"/account/sessions/{second}/end")).status_code == 404


async def test_what_happened_is_told_in_words(site: Site, ana: Visitor):
    event_id, _ = await ana.create_event()
    await (await site.member("eve")).create_event(name="Not Ana's")
    for number in range(6):
        await ana.post("/account", name=f"Ana {number}", timezone="UTC", locale="")
    page = text_of(await ana.get("/account"))
    assert "Changed the profile" in page
    assert "Created an event" not in page
    everything = text_of(await ana.get("/account/activity"))
    assert f"Created an event · Event {event_id}" in everything
    assert everything.count("Created an event") == 1


async def test_the_account_is_for_those_who_are_signed_in(site: Site, database: object):
    for path in ("/account", "/account/activity"):
        answer = await site.visitor().get(path)
        assert answer.headers["location"].startswith("/login")


def _recorded_actions() -> set[str]:
    """What the code writes to the audit log: every `object.verb` given to a function for it."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and "record" in ast.unparse(node.func):
                texts = (one.value for one in node.args if isinstance(one, ast.Constant))
                found |= {text for text in texts if ACTION.fullmatch(str(text))}
    return found


def test_every_action_of_the_audit_log_has_words():
    actions = _recorded_actions()
    assert {"event.create", "session.start", "user.update"} <= actions
    parts = environment().get_template("accounts/parts.html").module
    assert actions - set(parts.deeds) == set()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
         ("Firefox", "Linux")),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", ("Edge", "Windows")),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
         "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1", ("Safari", "iPhone")),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/140.0.0.0 Mobile Safari/537.36", ("Chrome", "Android")),
        ("curl/8.5.0", ("curl", "")),
        ("", ("", "")),
        (None, ("", "")),
    ],
)  # fmt: skip
def test_a_device_is_called_what_people_call_it(header: str | None, name: tuple[str, str]):
    assert device_name(header) == name
