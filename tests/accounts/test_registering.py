"""Registering and verifying: nothing before proof, and no stranger's password ever."""

from __future__ import annotations

import asyncio

from sqlalchemy import literal_column, select

from soonish.identity.tokens import Purpose
from soonish.infra.db.models.accounts import Registration, User
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.registry import Base
from tests.accounts.scene import OTHER_PASSWORD, PASSWORD, Scene

ADDRESS = "ada@example.com"


async def test_registering_changes_nothing_before_the_proof(scene: Scene) -> None:
    subscriber = await scene.subscriber(ADDRESS)
    browser = scene.browser()
    body = {"email": ADDRESS, "password": PASSWORD, "name": "Ada"}
    answer = await browser.post("/api/auth/register", json=body)
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    user = await scene.user(ADDRESS)
    assert user is not None
    assert user.id == subscriber.id
    assert (user.name, user.password_hash, user.is_verified) == (None, None, False)
    login = await browser.post("/api/auth/login", json={"email": ADDRESS, "password": PASSWORD})
    assert login.status_code == 401


async def test_the_browser_that_registered_keeps_its_password(scene: Scene) -> None:
    browser = scene.browser()
    token = await scene.register(browser, ADDRESS, PASSWORD, name="  Ada   Lovelace ")
    answer = await browser.post("/api/auth/verify", json={"token": token})
    assert answer.status_code == 200
    made = answer.json()
    assert made["token_type"] == "bearer"
    assert made["expires_in"] == 3600
    assert made["password_needed"] is False
    assert made["user"]["email"] == ADDRESS
    assert made["user"]["name"] == "Ada Lovelace"
    assert made["user"]["is_verified"] is True
    assert (await browser.get("/api/users/me")).json() == made["user"]
    body = {"email": ADDRESS.upper(), "password": PASSWORD}
    assert (await scene.browser().post("/api/auth/login", json=body)).status_code == 200


async def test_another_browser_keeps_it_by_repeating_it(scene: Scene) -> None:
    token = await scene.register(scene.browser(), ADDRESS, PASSWORD)
    body = {"token": token, "password": PASSWORD}
    answer = await scene.browser().post("/api/auth/verify", json=body)
    assert answer.json()["password_needed"] is False
    assert await can_log_in(scene, PASSWORD)


async def test_a_strangers_password_never_takes_effect(scene: Scene) -> None:
    """Somebody registers a stranger's address with a password of his own, and waits."""
    attacker, owner = scene.browser(), scene.browser()
    token = await scene.register(attacker, ADDRESS, PASSWORD)
    await scene.register(owner, "somebody.else@example.com", OTHER_PASSWORD)
    answer = await owner.post("/api/auth/verify", json={"token": token})
    assert answer.status_code == 200
    assert answer.json()["password_needed"] is True
    assert answer.json()["user"]["has_password"] is False
    assert not await can_log_in(scene, PASSWORD)
    assert not await can_log_in(scene, OTHER_PASSWORD)


async def test_another_password_than_the_registered_one_sets_none(scene: Scene) -> None:
    token = await scene.register(scene.browser(), ADDRESS, PASSWORD)
    body = {"token": token, "password": OTHER_PASSWORD}
    answer = await scene.browser().post("/api/auth/verify", json=body)
    assert answer.json()["password_needed"] is True
    assert not await can_log_in(scene, PASSWORD)
    assert not await can_log_in(scene, OTHER_PASSWORD)


async def test_registered_without_a_password_it_can_be_given_with_the_proof(scene: Scene) -> None:
    token = await scene.register(scene.browser(), ADDRESS)
    short = await scene.browser().post("/api/auth/verify", json={"token": token, "password": "x"})
    assert [e["field"] for e in short.json()["errors"]] == ["password"]
    body = {"token": token, "password": PASSWORD}
    answer = await scene.browser().post("/api/auth/verify", json=body)
    assert answer.json()["password_needed"] is False
    assert await can_log_in(scene, PASSWORD)


async def test_answers_are_the_same_for_known_and_unknown_addresses(scene: Scene) -> None:
    await scene.account("known@example.com")
    await scene.subscriber("subscriber@example.com")
    for path, extra in (
        ("/api/auth/register", {"password": PASSWORD}),
        ("/api/auth/register", {}),
        ("/api/auth/magic-link", {}),
        ("/api/auth/password/forgot", {}),
    ):
        seen: set[tuple[object, ...]] = set()
        for name in ("known", "unknown", "subscriber"):
            body = {"email": f"{name}@example.com", **extra}
            answer = await scene.browser().post(path, json=body)
            unique = ("set-cookie", "x-request-id")
            headers = {k: v for k, v in answer.headers.items() if k not in unique}
            seen.add((answer.status_code, answer.text, str(headers), len(answer.cookies)))
        assert len(seen) == 1, (path, seen)


async def test_the_owner_of_an_account_is_told_and_nothing_changes(scene: Scene) -> None:
    await scene.account(ADDRESS)
    stranger = scene.browser()
    body = {"email": ADDRESS, "password": OTHER_PASSWORD, "name": "Mallory"}
    assert (await stranger.post("/api/auth/register", json=body)).status_code == 202
    await scene.begin_verifications()
    mail = (await scene.mails())[-1]
    assert mail.kind == "already_registered"
    assert mail.extra == {"url": f"{scene.settings.base_url}/login"}
    assert await can_log_in(scene, PASSWORD)
    assert not await can_log_in(scene, OTHER_PASSWORD)
    claim = max(await scene.rows(Registration), key=lambda row: row.id)
    assert claim.completed_at is not None
    assert claim.password_hash is None


async def test_the_mail_is_written_once(scene: Scene) -> None:
    await scene.register(scene.browser(), ADDRESS, PASSWORD)
    await scene.begin_verifications()
    await scene.begin_verifications()
    assert [mail.kind for mail in await scene.mails()] == ["verification"]


async def test_a_token_works_once(scene: Scene) -> None:
    token = await scene.register(scene.browser(), ADDRESS, PASSWORD)
    first = await scene.browser().post("/api/auth/verify", json={"token": token})
    assert first.status_code == 200
    again = await scene.browser().post("/api/auth/verify", json={"token": token})
    assert (again.status_code, again.json()["code"]) == (410, "token_invalid")


async def test_of_two_at_once_one_gets_in(scene: Scene) -> None:
    token = await scene.register(scene.browser(), ADDRESS, PASSWORD)
    body = {"token": token}
    answers = await asyncio.gather(
        *(scene.browser().post("/api/auth/verify", json=body) for _ in range(4))
    )
    assert sorted(a.status_code for a in answers) == [200, 410, 410, 410]


async def test_the_proof_voids_every_other_claim(scene: Scene) -> None:
    first = await scene.register(scene.browser(), ADDRESS, PASSWORD)
    second = await scene.register(scene.browser(), ADDRESS, OTHER_PASSWORD)
    done = await scene.browser().post(
        "/api/auth/verify", json={"token": second, "password": OTHER_PASSWORD}
    )
    assert done.status_code == 200
    late = await scene.browser().post("/api/auth/verify", json={"token": first})
    assert late.status_code == 410
    assert all(row.completed_at for row in await scene.rows(Registration))
    assert all(row.password_hash is None for row in await scene.rows(Registration))
    assert await can_log_in(scene, OTHER_PASSWORD)


async def test_a_retried_mails_other_token_still_works(scene: Scene) -> None:
    first = await scene.register(scene.browser(), ADDRESS, PASSWORD)
    await scene.token_of((await scene.mails())[-1])
    answer = await scene.browser().post("/api/auth/verify", json={"token": first})
    assert answer.status_code == 200


async def test_a_token_of_another_purpose_is_gone(scene: Scene) -> None:
    await scene.account(ADDRESS)
    user = await scene.user(ADDRESS)
    assert user is not None
    reset = await scene.issue(Purpose.PASSWORD_RESET, user.id)
    magic = await scene.issue(Purpose.MAGIC_LINK, user.id)
    browser = scene.browser()
    assert (await browser.post("/api/auth/verify", json={"token": reset})).status_code == 410
    body = {"token": magic, "password": OTHER_PASSWORD}
    assert (await browser.post("/api/auth/password/reset", json=body)).status_code == 410
    for nonsense in ("nothing", "a" * 43, "%00", "💥"):
        answer = await browser.post("/api/auth/verify", json={"token": nonsense})
        assert answer.status_code == 410


async def test_two_registrations_at_once_make_one_row(scene: Scene) -> None:
    body = {"email": ADDRESS}
    answers = await asyncio.gather(
        *(scene.browser().post("/api/auth/register", json=body) for _ in range(5))
    )
    assert {a.status_code for a in answers} == {202}
    assert len(await scene.rows(User)) == 1
    assert len(await scene.rows(Registration)) == 5


async def test_only_ids_reach_the_outbox_and_no_address_is_stored_in_clear(scene: Scene) -> None:
    await scene.register(scene.browser(), ADDRESS, PASSWORD)
    for row in await scene.rows(OutboxRow):
        assert all(isinstance(value, int) for value in row.payload.values())
    async with scene.db.read() as session:
        for table in Base.metadata.sorted_tables:
            raw = await session.execute(select(literal_column("*")).select_from(table))
            assert "ada@" not in str(raw.all()).lower(), table.name


async def test_wrong_input_names_its_field(scene: Scene) -> None:
    for body, field in (
        ({"email": "no address"}, "email"),
        ({"email": "a@localhost"}, "email"),
        ({}, "email"),
        ({"email": ADDRESS, "password": "eleven char"}, "password"),
        ({"email": ADDRESS, "password": "x" * 129}, "password"),
        ({"email": ADDRESS, "name": "x" * 201}, "name"),
        ({"email": ADDRESS, "name": "a\x07b"}, "name"),
        ({"email": ADDRESS, "is_admin": True}, "is_admin"),
    ):
        answer = await scene.browser().post("/api/auth/register", json=body)
        assert answer.status_code == 422, body
        assert [e["field"] for e in answer.json()["errors"]] == [field], body
    assert await scene.rows(User) == []


async def test_a_password_is_taken_as_typed(scene: Scene) -> None:
    spaced = "  twelve or so  "
    await scene.account(ADDRESS, spaced)
    assert await can_log_in(scene, spaced)
    assert not await can_log_in(scene, spaced.strip())


async def can_log_in(scene: Scene, password: str, address: str = ADDRESS) -> bool:
    body = {"email": address, "password": password}
    answer = await scene.browser(address="198.51.100.7").post("/api/auth/login", json=body)
    assert answer.status_code in (200, 401)
    return answer.status_code == 200
