"""GET /api/users/me/export: everything, in the documented format, and no secret."""

from __future__ import annotations

import json

from soonish.domain.privacy.export_queries import PAGE
from soonish.domain.privacy.export_schemas import Export
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery
from tests.privacy.people import MARK, api, make_event, signed_in, with_everything
from tests.support.world import World
from tests.web.site import Site

PATH = "/api/users/me/export"


async def test_everything_is_in_it(site: Site, world: World) -> None:
    visitor, user_id = await with_everything(site, world)
    answer = await api(visitor, "GET", PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "attachment" in answer.headers["content-disposition"]
    found = Export.model_validate_json(answer.text)
    assert (found.profile.id, found.profile.email) == (user_id, f"{MARK}@example.org")
    assert (found.profile.name, found.profile.has_password) == (f"{MARK} name", True)
    empty = [name for name, value in json.loads(answer.text).items() if value == []]
    assert empty == []
    [event] = found.events
    assert (event.name, event.contact) == ("Own tea", f"{MARK}@new.example")
    assert [message.title for message in event.messages] == ["Hello"]
    [subscription] = found.subscriptions
    assert [selector.tag for selector in subscription.selectors] == [MARK]
    assert subscription.reminder_offsets == [7200, 600]
    assert len(subscription.remind_mes) == 1
    assert {delivery.via for delivery in found.deliveries} == {"channel", "mail"}
    assert [one.tries[0].detail for one in found.deliveries if one.tries] == [f"refused by {MARK}"]
    assert "user.export" in [entry.action for entry in found.audit]


async def test_no_secret_and_nobody_else_is_in_it(site: Site, world: World) -> None:
    visitor, user_id = await with_everything(site, world)
    text = (await api(visitor, "GET", PATH)).text
    [user] = await site.rows(User, User.id == user_id)
    [channel] = await site.rows(Integration)
    deliveries = await site.rows(Delivery, Delivery.target_key != "mail")
    for secret in (
        f"json://127.0.0.1/{MARK}",
        channel.url_fingerprint,
        str(user.password_hash),
        str(user.email_fingerprint),
        *(row.target_key for row in deliveries),
        f"{MARK}-hash",
        f"{MARK}-other",
    ):
        assert secret not in text


async def test_each_row_is_in_it_once_however_many(site: Site, world: World) -> None:
    ana = await signed_in(site, world, "ana@example.org", None)
    user_id = (await site.user("ana")).id
    many = 2 * PAGE + 1
    async with world.db.write() as session:
        session.add_all(AuditEntry(action=f"t.{n}", actor_user_id=user_id) for n in range(many))
    found = (await api(ana, "GET", PATH)).json()
    assert [one["action"] for one in found["audit"][:many]] == [f"t.{n}" for n in range(many)]
    assert len(found["audit"]) == many + 1


async def test_it_needs_a_session(site: Site, world: World) -> None:
    ana = await signed_in(site, world, "ana@example.org", None)
    assert (await api(site.visitor(), "GET", PATH)).status_code == 401
    made = (await api(ana, "POST", "/api/users/me/tokens", name="Bot", scope="write")).json()
    program = {"authorization": f"Bearer {made['token']}"}
    answer = await site.visitor().client.get(PATH, headers=program)
    assert (answer.status_code, answer.json()["code"]) == (403, "session_required")


async def test_an_address_without_an_account_takes_its_data_along(site: Site, world: World) -> None:
    event = await make_event(await site.member("ben"))
    anonymous = site.visitor()
    body = {"email": "eve@example.org"}
    await api(anonymous, "POST", f"/api/events/{event['id']}/subscribe", **body)
    await api(anonymous, "POST", "/api/auth/verify", token=await magic_link(site, "eve"))
    found = (await api(anonymous, "GET", PATH)).json()
    assert found["profile"]["email"] == "eve@example.org"
    assert [one["event_name"] for one in found["subscriptions"]] == ["Tea"]


async def magic_link(site: Site, name: str) -> str:
    """What is mailed when the address asks for a link."""
    from soonish.identity import tokens
    from soonish.identity.tokens import Purpose

    user = await site.user(name)
    async with site.runtime.db.write() as session:
        return await tokens.issue(session, Purpose.MAGIC_LINK, user.id)
