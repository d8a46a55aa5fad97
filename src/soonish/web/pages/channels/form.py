"""The pages that add and change a channel: pick a service, fill in its form, try it, keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.delivery.transports.apprise import schemes
from soonish.domain.integrations import queries, testing
from soonish.domain.integrations.form_urls import url_from
from soonish.domain.integrations.kinds import PASTED, Kind, all_kinds, search
from soonish.domain.integrations.labels import POPULAR
from soonish.domain.integrations.schemas import (
    IntegrationCreate,
    IntegrationOut,
    IntegrationPatch,
    Verification,
)
from soonish.errors import FieldError, InvalidInput, NotFound, SoonishError
from soonish.i18n import _
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.web.deps import CurrentUser, DbDep, SettingsDep, TesterDep
from soonish.web.middleware.rate_limits import MeterDep
from soonish.web.params import RowId
from soonish.web.rendering.forms import Form, parse, read_form
from soonish.web.rendering.templating import is_htmx, redirect, render

PREFIX = "f-"  # of the service's own fields, which may be called `name` or `tag` as well
EXPERT = "url"  # the form for a whole Apprise URL
AGAIN = "again"  # names the hidden fields that were filled in when the page was made anew
_ENTER_AGAIN = _("Please enter this again.")

router = APIRouter(prefix="/integrations", include_in_schema=False)


@router.get("/new")
async def choose(request: Request, user: CurrentUser, query: str = "") -> Response:
    """Every service that matches; HTMX gets the list alone."""
    template = "integrations/kinds.html" if is_htmx(request) else "integrations/choose.html"
    query = query.strip()[:100]
    context: dict[str, Any] = {"kinds": search(query), "popular": len(POPULAR)}
    return render(request, template, user=user, query=query, **context)


@router.get("/new/{name}")
async def new(request: Request, name: str, user: CurrentUser) -> Response:
    kind = _kind(name)
    return _form_page(request, user, kind, _fresh(kind))


@router.post("/new/{name}")
async def add(
    request: Request,
    name: str,
    user: CurrentUser,
    db: DbDep,
    tester: TesterDep,
) -> Response:
    """Add the channel; a test message decides whether it is switched on."""
    kind, form = _kind(name), await read_form(request)
    try:
        named = {key: form.value(key) for key in ("name", "tag")}
        wanted = parse(IntegrationCreate, named | {"apprise_url": _url(kind, form)})
        made = await testing.create(db, tester, user, wanted)
    except SoonishError as error:
        return _form_page(request, user, kind, _failed(kind, form, error), status=error.status)
    return redirect(
        "/integrations", "integration_added" if made.is_active else "integration_failed"
    )


@router.post("/new/{name}/test")
async def try_out(
    request: Request,
    name: str,
    user: CurrentUser,
    tester: TesterDep,
    meter: MeterDep,
) -> Response:
    """Send a test message to what is filled in, and keep nothing; HTMX leaves the form as it is."""
    kind, form = _kind(name), await read_form(request)
    tested, status = None, 200
    try:
        url, title = _url(kind, form), form.value("name") or "Soonish"
        tested = await testing.try_out(meter, tester, user, url, title)
    except SoonishError as error:
        form, status = _failed(kind, form, error), error.status
    if is_htmx(request):
        context = {"user": user, "tested": tested, "wrong": _in_words(kind, form)}
        return render(request, "integrations/tested.html", status=status, **context)
    return _form_page(request, user, kind, form, tested=tested, status=status)


@router.get("/{integration_id}/edit")
async def edit(request: Request, integration_id: RowId, user: CurrentUser, db: DbDep) -> Response:
    integration = await _own(db, user, integration_id)
    form = Form.filled(name=integration.name, tag=integration.tag)
    return render(request, "integrations/edit.html", user=user, form=form, integration=integration)


@router.post("/{integration_id}/edit")
async def save(
    request: Request, integration_id: RowId, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> Response:
    """Rename, tag, or give a new address; an empty address leaves the old one."""
    integration = await _own(db, user, integration_id)
    form = await read_form(request)
    sent = {"name": form.value("name"), "tag": form.value("tag")}
    if form.value("apprise_url"):
        sent["apprise_url"] = form.value("apprise_url")
    try:
        wanted = parse(IntegrationPatch, sent)
        await testing.update(db, settings, user, integration_id, wanted)
    except SoonishError as error:
        context = {"user": user, "form": form.failed(error), "integration": integration}
        return render(request, "integrations/edit.html", status=error.status, **context)
    return redirect("/integrations", "integration_saved")


async def _own(db: Database, user: User, integration_id: int) -> IntegrationOut:
    async with db.read() as session:
        return IntegrationOut.of(
            await queries.require_own(session, user, integration_id), utc_now()
        )


def _kind(name: str) -> Kind | None:
    """Return the service of that name, None for the expert's form. Raise NotFound for any other."""
    if name == EXPERT:
        return None
    if kind := all_kinds().get(name):
        return kind
    raise NotFound("There is no such service.")


def _fresh(kind: Kind | None) -> Form:
    """Return the form's first values: a name, a tag and the service's defaults."""
    if kind is None:
        return Form()
    required = {f"{PREFIX}{field.name}": field.default for field in kind.tokens if field.required}
    return Form.filled(name=kind.label, tag=kind.name, **{k: v for k, v in required.items() if v})


def _url(kind: Kind | None, form: Form) -> str:
    if kind is None:
        return form.value("apprise_url")
    if lost := [name for name in _entered_hidden(kind, form) if not form.value(name)]:
        raise InvalidInput(errors=[FieldError(name, _ENTER_AGAIN) for name in lost])
    names = [PASTED, *(field.name for field in (*kind.tokens, *kind.options))]
    values = {name: form.value(f"{PREFIX}{name}") for name in names}
    return url_from(kind, values, encrypted=form.value("encrypted") != "0")


def _entered_hidden(kind: Kind | None, form: Form) -> list[str]:
    """Return the filled-in fields that no page shows again, from this page or an earlier one.

    Without this a value that the page has lost would be missing from what is saved, unnoticed.
    """
    fields = (*kind.tokens, *kind.options) if kind else ()
    names = [f"{PREFIX}{field.name}" for field in fields if field.is_hidden]
    return [name for name in names if form.value(name) or name in form.values(AGAIN)]


def _in_words(kind: Kind | None, form: Form) -> list[tuple[str, str, str]]:
    """(id, label, message) of each wrong field; without an id and a label where there is none."""
    fields = (*kind.tokens, *kind.options) if kind else ()
    labels = {f"{PREFIX}{field.name}": field.label for field in fields}
    labels |= {f"{PREFIX}{PASTED}": _("Web address"), "name": _("Name"), "tag": _("Tag")}
    labels |= {} if kind else {"apprise_url": _("Address")}
    return [
        (name if name in labels else "", labels.get(name, ""), message)
        for name, message in form.errors.items()
    ]


def _failed(kind: Kind | None, form: Form, error: SoonishError) -> Form:
    """Do as Form.failed, with the service's fields under their names in the form."""
    if not isinstance(error, InvalidInput):
        return form.failed(error)
    if kind and _is_of_host(kind, error):
        error = InvalidInput("host", error.errors[0].message)
    ours = {"name", "tag", "apprise_url", "body"}
    entries = [
        entry
        if entry.field.startswith(PREFIX)
        or (entry.field in ours and f"{PREFIX}{entry.field}" not in form.names())
        else FieldError(f"{PREFIX}{entry.field}", entry.message)
        for entry in error.errors
    ]
    return form.failed(InvalidInput(errors=entries))


def _is_of_host(kind: Kind, error: InvalidInput) -> bool:
    """Tell whether only the host can be wrong in the URL: a webhook leaves all else free."""
    if not any(field.name == "host" for field in kind.tokens):
        return False
    webhook = kind.name in schemes.WEBHOOKS and error.code == "integration_url_invalid"
    return webhook or error.code == "integration_url_blocked_target"


def _form_page(
    request: Request,
    user: CurrentUser,
    kind: Kind | None,
    form: Form,
    *,
    tested: Verification | None = None,
    status: int = 200,
) -> Response:
    names = [f"{PREFIX}{field.name}" for field in kind.tokens] if kind else []
    again = _entered_hidden(kind, form)
    for name in again:
        form.errors.setdefault(name, _ENTER_AGAIN)
    context: Mapping[str, Any] = {
        "user": user,
        "kind": kind,
        "form": form,
        "tested": tested,
        "wrong": [],
        "again": again,
        "parts_used": any(form.value(name) or form.error(name) for name in names),
    }
    return render(request, "integrations/new.html", status=status, **context)
