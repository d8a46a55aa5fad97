"""`/account`, as a browser without scripts uses it."""

from __future__ import annotations

import re
from datetime import timedelta

from soonish.infra.db.models.accounts import ApiToken, OidcIdentity, Session
from soonish.infra.db.types import utc_now
from tests.web.site import Site, text_of


async def test_a_token_is_made_shown_once_and_revoked(site: Site) -> None:
    ana = await site.member("ana")
    fields = {"token_name": "Calendar <script>", "token_scope": "read", "token_days": "30"}
    made = await ana.post("/account/tokens", **fields)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "private, no-store"
    [token] = set(re.findall(r"soonish_[\w-]{43}", made.text))
    assert "<script>" not in made.text
    used = await site.visitor().get("/api/users/me", authorization=f"Bearer {token}")
    assert used.json()["email"] == "ana@example.org"
    page = await ana.get("/account")
    assert token not in page.text
    assert "Calendar <script> may read" in text_of(page)
    [row] = await site.rows(ApiToken)
    assert row.expires_at is not None
    assert timedelta(days=29) < row.expires_at - utc_now() <= timedelta(days=30)
    gone = await ana.follow(await ana.post(f"/account/tokens/{row.id}/revoke"))
    assert "That token works no longer." in text_of(gone)
    assert "Calendar" not in text_of(gone)
    used = await site.visitor().get("/api/users/me", authorization=f"Bearer {token}")
    assert used.status_code == 401


async def test_wrong_input_stands_beside_its_field(site: Site) -> None:
    ana = await site.member("ana")
    answer = await ana.post("/account/tokens", token_name=" ", token_scope="all", token_days="")
    assert answer.status_code == 422
    assert 'id="token_name-error"' in answer.text
    assert 'id="token_scope-error"' in answer.text
    assert 'value="Ana"' in answer.text  # the profile's form is untouched
    assert await site.rows(ApiToken) == []


async def test_a_token_may_last_until_it_is_revoked(site: Site) -> None:
    ana = await site.member("ana")
    await ana.post("/account/tokens", token_name="x", token_scope="write", token_days="")
    [row] = await site.rows(ApiToken)
    assert (row.scope, row.expires_at) == ("write", None)


async def test_the_other_sessions_end(site: Site) -> None:
    ana, elsewhere = await site.member("ana"), await site.member("ana")
    assert "Sign out all others" in text_of(await ana.get("/account"))
    page = await ana.follow(await ana.post("/account/sessions/end-others"))
    assert "All other sessions are signed out." in text_of(page)
    assert "Sign out all others" not in text_of(page)
    assert (await elsewhere.get("/account")).headers["location"].startswith("/login")
    assert [row.ended_at is None for row in await site.rows(Session)] == [True, False]


async def test_a_login_is_disconnected_by_its_owner(site: Site) -> None:
    ana, eve = await site.member("ana"), await site.member("eve")
    user = await site.user("ana")
    mine = OidcIdentity(user_id=user.id, issuer="https://id.example", subject="7")
    async with site.runtime.db.write() as session:
        session.add(mine)
    assert "id.example signs you in" in text_of(await ana.get("/account"))
    assert "id.example" not in text_of(await eve.get("/account"))
    path = f"/account/logins/{mine.id}/disconnect"
    assert (await eve.post(path)).status_code == 404
    page = await ana.follow(await ana.post(path))
    assert "That login is no longer connected." in text_of(page)
    assert await site.rows(OidcIdentity) == []
    assert (await ana.post(path)).status_code == 404


async def test_nobody_signed_out_and_no_token_gets_there(site: Site) -> None:
    ana = await site.member("ana")
    made = await ana.post("/account/tokens", token_name="x", token_scope="write", token_days="")
    [token] = set(re.findall(r"soonish_[\w-]{43}", made.text))
    paths = (
        "/account",
        "/account/tokens",
        "/account/tokens/1/revoke",
        "/account/logins/1/disconnect",
        "/account/sessions/end-others",
        "/account/sessions/1/end",
    )
    for path in paths:
        method = "GET" if path == "/account" else "POST"
        client = site.visitor().client
        assert (await client.request(method, path)).status_code == 401
        bearer = {"Authorization": f"Bearer {token}"}
        answer = await client.request(method, path, headers=bearer)
        assert (answer.status_code, answer.json()["code"]) == (403, "session_required")
    assert len(await site.rows(Session)) == 1
