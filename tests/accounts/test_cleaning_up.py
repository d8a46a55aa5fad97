"""Unproven registrations go after 7 days; people who are somebody stay."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import time_machine

from soonish.domain.accounts import registration
from soonish.identity.users import find_or_create_by_address
from soonish.infra.db.models.accounts import Registration, Token, User
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.accounts.scene import PASSWORD, Scene

ADDRESS = "ada@example.com"


async def check_all(scene: Scene) -> list[float | None]:
    """What every UserVerificationWorkflow does when it wakes."""
    found: list[float | None] = []
    for row in await scene.rows(Registration):
        async with scene.db.write() as session:
            found.append(await registration.expire_if_due(session, row.workflow_id))
    return found


async def test_an_unproven_registration_goes_with_its_address(scene: Scene) -> None:
    await scene.register(scene.browser(), ADDRESS, PASSWORD)
    assert await check_all(scene) == [pytest.approx(7 * 86_400, abs=60)]
    with time_machine.travel(utc_now() + timedelta(days=7, seconds=1)):
        assert await check_all(scene) == [None]
    assert await check_all(scene) == []
    for table in (User, Registration, Token, Notification):
        assert await scene.rows(table) == []


async def test_an_anonymous_subscriber_stays(scene: Scene) -> None:
    owner = await scene.subscriber("owner@example.com")
    subscriber = await scene.subscriber(ADDRESS)
    event = await scene.event(owner.id)
    async with scene.db.write() as session:
        session.add(Subscription(event_id=event.id, user_id=subscriber.id, ended_at=utc_now()))
    await scene.register(scene.browser(), ADDRESS, PASSWORD)
    await scene.register(scene.browser(), "owner@example.com", PASSWORD)
    with time_machine.travel(utc_now() + timedelta(days=8)):
        assert await check_all(scene) == [None, None]
    assert {user.id for user in await scene.rows(User)} == {owner.id, subscriber.id}
    assert await scene.rows(Registration) == []


async def test_the_last_of_two_registrations_cleans_up(scene: Scene) -> None:
    await scene.register(scene.browser(), ADDRESS)
    start = utc_now()
    with time_machine.travel(start + timedelta(days=3)):
        await scene.register(scene.browser(), ADDRESS)
    with time_machine.travel(start + timedelta(days=8)):
        assert await check_all(scene) == [None, pytest.approx(2 * 86_400, abs=60)]
        assert len(await scene.rows(User)) == 1
    with time_machine.travel(start + timedelta(days=11)):
        await check_all(scene)
    assert await scene.rows(User) == []


async def test_a_verified_account_stays(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    assert await check_all(scene) == [None]
    with time_machine.travel(utc_now() + timedelta(days=8)):
        await check_all(scene)
    assert (await browser.get("/api/users/me")).status_code == 200


async def test_an_unproven_change_of_address_goes_and_the_account_stays(scene: Scene) -> None:
    browser = await scene.account(ADDRESS)
    await browser.patch("/api/users/me", json={"email": "new@example.com"})
    await scene.begin_verifications()
    assert len(await scene.rows(User)) == 2
    with time_machine.travel(utc_now() + timedelta(days=8)):
        await check_all(scene)
    assert [user.email for user in await scene.rows(User)] == [ADDRESS]


async def test_whoever_subscribes_while_it_goes_is_kept(scene: Scene) -> None:
    """The row is removed and found at the same time, again and again: nobody fails."""
    owner = await scene.subscriber("owner@example.com")
    event = await scene.event(owner.id)

    async def subscribe(address: str) -> None:
        async with scene.db.write() as session:
            user = await find_or_create_by_address(session, address)
            session.add(Subscription(event_id=event.id, user_id=user.id))

    for number in range(5):
        address = f"guest{number}@example.com"
        await scene.register(scene.browser(), address)
        with time_machine.travel(utc_now() + timedelta(days=8)):
            await asyncio.gather(
                check_all(scene), subscribe(address), subscribe_again(scene, address)
            )
    subscribers = {row.user_id for row in await scene.rows(Subscription)}
    assert len(subscribers) == 5
    assert subscribers <= {user.id for user in await scene.rows(User)}


async def subscribe_again(scene: Scene, address: str) -> None:
    async with scene.db.write() as session:
        await find_or_create_by_address(session, address, "Guest")


async def test_a_name_is_given_once_and_never_to_an_account(scene: Scene) -> None:
    await scene.account("known@example.com")
    for address, names in (("known@example.com", [None, None]), (ADDRESS, ["Ada", "Ada"])):
        for name, expected in zip(("Ada", "Eve"), names, strict=True):
            async with scene.db.write() as session:
                await find_or_create_by_address(session, address, name)
            user = await scene.user(address)
            assert user is not None
            assert user.name == expected
