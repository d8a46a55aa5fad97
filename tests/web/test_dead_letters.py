"""What failed, on the organizer's pages, and a channel in trouble on its owner's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.support.world import World
from tests.web.site import Site, text_of

AGAIN = "Try the failed one again"


async def failed_message(site: Site, event_id: int) -> tuple[World, int]:
    """A message of the event that did not reach bo; its id."""
    world = World(site.runtime.db, site.runtime.settings)
    user = await site.user("bo")
    subscription = await world.add(Subscription(event_id=event_id, user_id=user.id))
    event = await world.one(Event, Event.id == event_id)
    notification = await world.notify(event, expanded_at=utc_now())
    await world.add(
        Delivery(
            notification_id=notification.id,
            user_id=user.id,
            subscription_id=subscription.id,
            target_key="mail",
            state="failed",
            outcome="rejected",
            attempts=1,
            expires_at=utc_now() + timedelta(hours=1),
        )
    )
    return world, notification.id


async def test_the_organizer_sees_what_failed_and_tries_again(site: Site):
    ana, bo = await site.member("ana"), await site.member("bo")
    event_id, _ = await ana.create_event()
    world, notification_id = await failed_message(site, event_id)
    page = f"/events/{event_id}/notifications/{notification_id}"
    assert "1 failed" in text_of(await ana.get(f"/events/{event_id}"))
    shown = await ana.get(page)
    assert "refused by the other side" in shown.text
    assert (AGAIN in shown.text, f'action="{page}/retry"' in shown.text) == (True, True)
    assert (await bo.get(page)).status_code == 403
    assert (await bo.post(f"{page}/retry")).status_code == 403
    assert await world.states(notification_id) == ["failed"]
    for _ in range(2):  # a second click changes nothing
        after = await ana.follow(await ana.post(f"{page}/retry"))
        assert AGAIN not in after.text
    assert await world.states(notification_id) == ["pending"]
    woken = await site.rows(OutboxRow, OutboxRow.stream == f"notification-{notification_id}")
    assert len(woken) == 1


async def test_too_late_is_said(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    world, notification_id = await failed_message(site, event_id)
    [row] = await world.deliveries(notification_id)
    await world.change(Delivery, row.id, expires_at=utc_now())
    answer = await ana.post(f"/events/{event_id}/notifications/{notification_id}/retry")
    assert answer.status_code == 409
    assert "too late" in text_of(answer)
    assert await world.states(notification_id) == ["failed"]


@pytest.mark.parametrize(
    ("values", "badge"),
    [
        ({}, "Not tried yet"),
        ({"last_delivery_at": True}, "Working"),
        ({"failing_since": True}, "Failing"),
        ({"open_until": True}, "Not answering"),
        ({"is_active": False, "failing_since": True}, "Off"),
    ],
)
async def test_a_channel_says_how_it_does(site: Site, values: dict[str, bool], badge: str):
    bo = await site.member("bo")
    world = World(site.runtime.db, site.runtime.settings)
    channel = await world.channel((await site.user("bo")).id, "json://127.0.0.1:9/a", name="Room")
    soon = utc_now() + timedelta(minutes=1)
    given = {name: soon if value is True else value for name, value in values.items()}
    await world.change(Integration, channel.id, **given)
    shown = text_of(await bo.get("/integrations"))
    known = ("Not tried yet", "Working", "Failing", "Not answering", "Off")
    assert [one for one in known if f"#chat {one} " in shown] == [badge]
