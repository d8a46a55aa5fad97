"""All pages and states there are samples of, and how one is rendered."""

from __future__ import annotations

from types import SimpleNamespace as Row
from typing import Any

from jinja2 import meta
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from soonish.errors import Conflict
from soonish.i18n import ENGLISH
from soonish.web.rendering.templating import TEMPLATES, environment, render
from tests.web.samples import NOW, SAMPLES
from tests.web.samples_account import ACCOUNT_SAMPLES
from tests.web.samples_admin import ADMIN_SAMPLES

DEVELOPERS: dict[str, tuple[str, dict[str, Any]]] = {
    "api-docs": ("api_docs.html", {"user": None}),
    "mail": (
        "dev/mail.html",
        {
            "user": None,
            "mail": Row(
                name="x.eml",
                subject="You're subscribed to Rooftop cinema: Paris, Texas",
                recipients=["a.really.long.address.for.testing@subdomain.example.org"],
                received_at=NOW,
            ),
            "message": Row(
                html="<p>Hello</p>",
                text=f"Hello\n\nhttp://localhost:8000/{'long' * 30}\n",
                headers=[("From", "soonish@example.org"), ("Message-ID", f"<{'x' * 60}@h>")],
            ),
        },
    ),
    "mails-none": ("dev/mails.html", {"user": None, "query": "nobody", "mails": []}),
}
# What is never a page: HTMX puts it into one. Shown here on a page of its own.
FRAGMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "fragment-error": (
        "partials/error.html", {"error": Conflict("The event is over.")},
    ),
    "fragment-refused": ("organizer/refused.html", {}),
}  # fmt: skip
EVERY_SAMPLE = SAMPLES | ACCOUNT_SAMPLES | ADMIN_SAMPLES | DEVELOPERS | FRAGMENTS
_AROUND = (
    '{%% extends "base.html" %%}{%% block main %%}<h1>A fragment</h1>'
    '<div class="mt-6">{%% include "%s" %%}</div>{%% endblock %%}'
)


# Where a page is, for those that show it among their tabs.
PATHS = {
    "admin": "/admin",
    "admin-users": "/admin/users",
    "admin-events": "/admin/events",
    "admin-channels": "/admin/integrations",
    "admin-audit": "/admin/audit",
    "dashboard": "/dashboard",
    "account": "/account",
    "integrations": "/integrations",
}


def render_sample(request: Request, name: str) -> Response:
    """The sample of that name as its page; `?lang=` is its user's language."""
    template, context = EVERY_SAMPLE[name]
    language, user = request.query_params.get("lang"), context.get("user")
    if language and user:
        context = {**context, "user": Row(**vars(user) | {"locale": language})}
    request = Request({**request.scope, "path": PATHS.get(name, "/sample")})
    if name not in FRAGMENTS:
        return render(request, template, **context)
    page = environment(language or ENGLISH).from_string(_AROUND % template)
    everywhere: dict[str, Any] = {"user": None, "token_page": False, "flash": None}
    return HTMLResponse(page.render(request=request, path="/sample", **(everywhere | context)))


def templates_shown() -> set[str]:
    """Every template that some sample needs, directly or by way of another."""
    found: set[str] = set()
    waiting = {template for template, _ in EVERY_SAMPLE.values()}
    while waiting:
        name = waiting.pop()
        found.add(name)
        parsed = environment().parse((TEMPLATES / name).read_text())
        waiting |= {one for one in meta.find_referenced_templates(parsed) if one} - found
    return found
