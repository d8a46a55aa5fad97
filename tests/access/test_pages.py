"""The pages of a private event: with an invitation, and behind a mail's manage link."""

from __future__ import annotations

import re
from typing import Any

from soonish.domain.access.organizers import MAX_CO_ORGANIZERS
from soonish.identity.signed_tokens import make_token
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.web.site import Site, Visitor, text_of


async def party(site: Site, **invitation: Any) -> tuple[Visitor, int, str, str]:
    """The owner's browser, a private event's id and slug, and an invitation's token."""
    owner = await site.member("olga")
    event_id, slug = await owner.create_event(
        is_public=["0"], name="Secret party", description="Bring *lamps*", location="Cellar"
    )
    path = f"/api/events/{event_id}/invitations"
    made = await owner.client.post(path, json=invitation, headers={"sec-fetch-site": "same-origin"})
    assert made.status_code == 201, made.text
    return owner, event_id, slug, made.json()["url"].partition("invitation=")[2]


async def test_without_an_invitation_there_is_no_page(site: Site) -> None:
    _, _, slug, token = await party(site)
    for visitor in (site.visitor(), await site.member("mallory")):
        for rest in ("", "?invitation=", f"?invitation={token}x"):
            page = await visitor.get(f"/e/{slug}{rest}")
            assert page.status_code == 404
            assert "Secret" not in page.text
        posted = await visitor.post(f"/e/{slug}/subscribe", email="mallory@example.org")
        assert posted.status_code == 404
    front = await site.visitor().get("/?query=secret")
    assert "Secret" not in front.text


async def test_the_link_leads_through_the_form_without_javascript(site: Site) -> None:
    _, _, slug, token = await party(site, max_uses=1)
    visitor = site.visitor()
    page = await visitor.get(f"/e/{slug}?invitation={token}")
    assert page.status_code == 200
    assert page.headers["referrer-policy"] == "no-referrer"
    hidden = re.search(r'type="hidden" name="invitation" value="([\w-]+)"', page.text)
    assert hidden
    assert hidden[1] == token
    done = await visitor.post(f"/e/{slug}/subscribe", email="anna@example.org", invitation=token)
    assert done.status_code == 200
    assert "That’s it" in done.text
    [row] = await site.rows(Subscription)
    assert row.status == "active"
    assert (await visitor.get(f"/e/{slug}?invitation={token}")).status_code == 404, "used up"


async def test_and_with_it(site: Site) -> None:
    _, _, slug, token = await party(site, needs_approval=True)
    visitor = site.visitor()
    fields = {"email": "no address", "invitation": token}
    wrong = await visitor.post(f"/e/{slug}/subscribe", htmx=True, **fields)
    assert wrong.status_code == 422
    assert f'value="{token}"' in wrong.text, "the form keeps the invitation"
    fields["email"] = "anna@example.org"
    done = await visitor.post(f"/e/{slug}/subscribe", htmx=True, **fields)
    assert done.status_code == 200
    assert "<html" not in done.text
    assert "Waiting for approval" in text_of(done)


async def test_somebody_signed_in_asks_and_waits(site: Site) -> None:
    _, _, slug, token = await party(site, needs_approval=True)
    visitor = await site.member("nina")
    page = await visitor.get(f"/e/{slug}?invitation={token}")
    assert f'value="{token}"' in page.text
    asked = await visitor.post(f"/e/{slug}/channels", invitation=token)
    page = await visitor.follow(asked)
    assert page.status_code == 200
    assert "Waiting for approval" in text_of(page)


async def test_signing_in_comes_back_to_the_invitation(site: Site) -> None:
    _, _, slug, token = await party(site)
    page = await site.visitor().get(f"/e/{slug}?invitation={token}")
    assert f"/login?next=/e/{slug}%3Finvitation={token}" in page.text


async def test_the_manage_page_shows_a_private_event_to_its_subscriber(site: Site) -> None:
    _, event_id, slug, token = await party(site)
    visitor = site.visitor()
    await visitor.post(f"/e/{slug}/subscribe", email="anna@example.org", invitation=token)
    manage = make_token(
        site.runtime.settings.secret_key,
        "manage",
        event_id=event_id,
        user_id=(await site.user("anna")).id,
        epoch=0,
        issued_at=utc_now(),
    )
    page = await visitor.get(f"/manage/{manage}")
    assert page.status_code == 200
    for fact in ("Secret party", "Cellar", "lamps"):
        assert fact in text_of(page)
    assert f"/e/{slug}" not in page.text
    await visitor.post(f"/manage/{manage}/leave")
    page = await visitor.get(f"/manage/{manage}")
    assert "Secret" not in page.text, "what one left is not shown any more"


async def test_a_co_organizer_finds_the_event_but_no_way_to_cancel_it(site: Site) -> None:
    owner, event_id, _, _ = await party(site)
    nina = await site.member("nina")
    assert (await nina.get(f"/events/{event_id}")).status_code == 404
    path = f"/api/events/{event_id}/organizers"
    headers = {"sec-fetch-site": "same-origin"}
    await owner.client.post(path, json={"email": "nina@example.org"}, headers=headers)
    assert "Secret party" in (await nina.get("/dashboard")).text
    page = await nina.get(f"/events/{event_id}")
    assert page.status_code == 200
    for visitor, offered in ((nina, False), (owner, True)):
        pages = [await visitor.get(f"/events/{event_id}{rest}") for rest in ("", "/settings")]
        assert any(f"/events/{event_id}/cancel" in one.text for one in pages) is offered
    assert (await nina.get(f"/events/{event_id}/edit")).status_code == 200
    assert (await nina.get(f"/events/{event_id}/cancel")).status_code == 403
    assert (await nina.post(f"/events/{event_id}/cancel")).status_code == 403


async def test_the_owner_sees_as_many_co_organizers_as_there_may_be(site: Site) -> None:
    owner, event_id, _, _ = await party(site)
    path, headers = f"/api/events/{event_id}/organizers", {"sec-fetch-site": "same-origin"}
    for number in range(MAX_CO_ORGANIZERS):
        body = {"email": f"helper{number}@example.org"}
        made = await owner.client.post(path, json=body, headers=headers)
        assert made.status_code == 201
    page = await owner.get(f"/events/{event_id}/access")
    assert all(f"helper{number}@" in page.text for number in range(MAX_CO_ORGANIZERS))
