"""The event page as its visitor sees it: signed out, signed in, subscribed, just done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, unquote

from fastapi import Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.domain.access import policy, subscription_queries
from soonish.domain.events import queries
from soonish.domain.events.schemas import EventOut
from soonish.domain.integrations.schemas import IntegrationOut
from soonish.domain.subscriptions import queries as subscriptions
from soonish.domain.subscriptions.selection import SelectionReach, reach
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.session import Session
from soonish.infra.db.types import utc_now
from soonish.web.pages.event_files import update_log
from soonish.web.pages.organizer.layout import is_open
from soonish.web.pages.reminder_form import reminder_context
from soonish.web.rendering.forms import Form
from soonish.web.rendering.pictures import qr_inline
from soonish.web.rendering.templating import is_htmx, render

Done = Literal["", "subscribed", "asked"]
_TOLD = "soonish_told"  # the address that this browser has just entered, for one page


@dataclass(frozen=True)
class ChannelChoice:
    """What a signed-in visitor can choose, and has chosen."""

    integrations: list[IntegrationOut]
    tags: list[str]
    chosen_ids: list[int]
    chosen_tags: list[str]
    reach: SelectionReach


async def event_view(
    request: Request,
    session: Session,
    event: Event,
    settings: Settings,
    user: User | None,
    form: Form,
    *,
    done: Done = "",
    told: str = "",
    status: int = 200,
) -> Response:
    """Render the page of an event that may be seen, only its subscribe card for HTMX.

    `told` is the address that was entered, for somebody who is not signed in.
    """
    shown = EventOut.of(await queries.details_for_visitors(session, event), settings)
    log = await update_log(session, event, None)
    owner = await session.get(User, event.owner_user_id)
    is_organizer = await policy.is_organizer(session, event, user)
    context = await _own_context(session, settings, event, user, form) if user else {}
    response = render(
        request,
        "events/subscribe.html" if is_htmx(request) else "events/page.html",
        status=status,
        user=user,
        event=shown,
        open=is_open(shown),
        organizer_name=owner and owner.name,
        is_organizer=is_organizer,
        invitation=form.value("invitation"),
        updates=log.items,
        updates_next=log.next_url,
        qr=qr_inline(shown.public_url),
        form=form,
        done="" if user else done,
        told=told or unquote(request.cookies.get(_TOLD, "")),
        must_confirm=settings.double_opt_in,
        **({"subscription": None} | context),
    )
    if _TOLD in request.cookies:
        response.delete_cookie(_TOLD, path=f"/e/{event.slug}")
    return response


def remember_told(response: Response, slug: str, address: str) -> Response:
    """Let the next page of this browser say which address was entered; it is forgotten then."""
    response.set_cookie(
        _TOLD, quote(address), max_age=60, path=f"/e/{slug}", httponly=True, samesite="lax"
    )
    return response


async def choice_of(
    session: Session, user: User, integration_ids: list[int], tags: list[str]
) -> ChannelChoice:
    """Return the user's channels, with what these ids and tags of them would reach."""
    rows = [one for one in await subscriptions.channels_of(session, user.id) if not one.deleted_at]
    return ChannelChoice(
        integrations=[IntegrationOut.of(row, utc_now()) for row in rows],
        tags=sorted({row.tag for row in rows}),
        chosen_ids=integration_ids,
        chosen_tags=tags,
        reach=reach(integration_ids, tags, rows, user.email),
    )


async def _own_context(
    session: Session, settings: Settings, event: Event, user: User, form: Form
) -> dict[str, Any]:
    subscription = await subscription_queries.find_own(session, event.id, user.id)
    ids = [subscription.id] if subscription else []
    groups = (await subscriptions.selectors_of(session, ids)).values()
    saved = [selector for group in groups for selector in group]
    numbers = form.numbers("integration_ids")
    numbers = numbers or [one.integration_id for one in saved if one.integration_id]
    tags = form.values("tags") or [one.tag for one in saved if one.tag]
    choice = await choice_of(session, user, numbers, tags)
    context: dict[str, Any] = {"subscription": subscription, "choice": choice}
    if subscription:
        base = f"/e/{event.slug}"
        context |= await reminder_context(session, base, event.id, user, settings)
    return context
