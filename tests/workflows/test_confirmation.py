"""ANONYMOUS_OPT_IN=double from the form to the inbox: one mail, and nothing else before a click."""

from __future__ import annotations

import re

from soonish.domain.subscriptions import confirmation
from soonish.domain.subscriptions.anonymous import AnonymousRequest, subscribe_address
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.support.wait import eventually
from tests.workflows.running import Running

ADDRESS = "anna@example.org"


async def test_nothing_but_the_confirmation_goes_to_an_address_before_it_confirms(
    running: Running,
) -> None:
    event = await running.create()
    witness = await running.welcome(event)
    await running.titles(1)
    async with running.runtime.db.write() as session:
        wanted = AnonymousRequest(event.id, ADDRESS)
        await subscribe_address(session, wanted, utc_now(), double_opt_in=True)
    (mail,) = await eventually(lambda: running.mail.to(ADDRESS), 20, "the mail that asks")
    assert mail.message["Subject"] == "Confirm your subscription to Summer party"

    # What everybody else is told, they are not.
    waiting = await running.world.one(Subscription, Subscription.id != witness.id)
    assert waiting.status == "pending_confirmation"
    await running.change(event, location="Garden")
    message = await running.world.notify(event, title="Bring a cake")
    named = await running.world.notify(event, title="Just you", audience=[waiting.id])
    assert set(await running.titles(3)) >= {"Bring a cake"}
    for notification in (message, named):
        await running.completed(notification.id)
    rows = await running.world.rows(Delivery, Delivery.user_id == waiting.user_id)
    assert [row.subscription_id for row in rows] == [None]
    assert len(running.mail.to(ADDRESS)) == 1

    text = mail.message.get_body(("plain",)).get_content()  # pyright: ignore
    (token,) = re.findall(r"/confirm/([\w-]{43})", text)
    async with running.runtime.db.write() as session:
        await confirmation.confirm(session, token, utc_now())
    mails = await eventually(lambda: running.mail.to(ADDRESS)[1:], 20, "the welcome")
    assert [m.message["Subject"] for m in mails] == ["You're subscribed to Summer party"]
    later = await running.world.notify(event, title="See you")
    await running.completed(later.id)
    subjects = [one.message["Subject"] for one in running.mail.to(ADDRESS)]
    assert subjects[2:] == ["See you"], "and nothing of what was said before"
    assert await running.world.rows(OutboxRow, OutboxRow.error.is_not(None)) == []
    kinds = [row.kind for row in await running.world.rows(Notification)]
    assert kinds.count("confirm_subscription") == 1
