"""Schemathesis reads the OpenAPI document and asks every operation for all it may and may not.

Positive and negative data, signed in and not: no 5xx, and each answer has a status, a content type,
headers and a body that the document tells.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.schemas import BaseSchema

from soonish.app import create_app
from soonish.config import Settings
from soonish.domain.accounts import access_tokens, sessions
from soonish.identity.users import find_or_create_by_address
from soonish.infra.db import crypto
from soonish.infra.db.session import Database
from tests.support.database import migrated_sqlite
from tests.support.ports import accepts, free_port
from tests.support.settings import make_settings
from tests.support.wait import wait_for

__all__ = ["migrated_sqlite"]

pytestmark = pytest.mark.xdist_group("schemathesis")
EXAMPLES = 8
# They end the session that asks: asked without one here, with one in tests of their own.
ENDS_THE_SESSION = {
    ("DELETE", "/api/users/me"),
    ("POST", "/api/auth/logout"),
}
NOT_ASKED = {
    "/u/{token}": ("unsupported_method",),  # GET is a page, which the document does not tell
    "/api/health": ("not_a_server_error",),  # its 503 is an answer
}
load_all_checks()
ASKED = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "unsupported_method",
    )
]
bounded = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


Known = dict[str, int]


@dataclass
class Api:
    """A server with one account in it."""

    base_url: str
    settings: Settings

    def sign_in(self) -> dict[str, str]:
        """Headers of a new session: an operation may end the one it is asked with."""
        return {"Authorization": f"Bearer {asyncio.run(sign_in(self.settings))}"}


@pytest.fixture(scope="module")
def api(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Api]:
    home = tmp_path_factory.mktemp("home")
    (home / "soonish.db").write_bytes(migrated_sqlite.read_bytes())
    made = make_settings(
        home, port=free_port(), log_level="ERROR", egress_allowed_networks=["127.0.0.0/8"]
    )
    crypto.configure(made)
    config = uvicorn.Config(
        create_app(made), port=made.port, log_config=None, access_log=False, proxy_headers=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: accepts(made.port), 20, "the API to listen")
    yield Api(f"http://127.0.0.1:{made.port}", made)
    server.should_exit = True
    thread.join(20)


async def sign_in(made: Settings) -> str:
    db = Database(made)
    async with db.write() as session:
        user = await find_or_create_by_address(session, "olga@example.org", "Olga")
        user.is_verified = True
        row, _ = await sessions.start(session, made, user.id, None)
    await db.close()
    return access_tokens.issue(made, row).token


def read_document() -> BaseSchema:
    with tempfile.TemporaryDirectory() as home:
        app = create_app(make_settings(Path(home), log_level="ERROR"))
    return schemathesis.openapi.from_dict(app.openapi())


operations = read_document()


@pytest.fixture
def headers(api: Api) -> dict[str, str]:
    return api.sign_in()


@pytest.fixture
def known(api: Api, headers: dict[str, str]) -> Known:
    """Ids of things that are there, new for each operation: others may have deleted them."""
    with httpx2.Client(base_url=api.base_url, headers=headers, timeout=20) as client:

        def make(path: str, **body: Any) -> dict[str, Any]:
            answer = client.post(path, json=body)
            assert answer.status_code in (201, 202), answer.text
            return answer.json()

        event_id = make("/api/events", name="Picnic", start_date="2099-01-01T00:00:00Z")["id"]
        base = f"/api/events/{event_id}"
        url = f"json://127.0.0.1:9/{event_id}"
        channel = {"name": "Hook", "apprise_url": url, "tag": "chat", "verify": False}
        return {
            "event_id": event_id,
            "subscription_id": make(f"{base}/subscribe")["subscription_id"],
            "integration_id": make("/api/integrations", **channel)["id"],
            "notification_id": make(f"{base}/notify", title="Hi", body="Ho")["notification_id"],
            "remind_me_id": make(f"{base}/remind-me", in_seconds=600)["id"],
        }


def ask(case: schemathesis.Case, api: Api, known: Known, **more: Any) -> None:
    """Send the case, about things that are there where all of it is as it should be."""
    if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
        case.path_parameters.update({n: known[n] for n in case.path_parameters.keys() & known})
        if isinstance(case.body, dict) and "apprise_url" in case.body:
            case.body["verify"] = False  # nothing is sent to what a generator thinks of
    skipped = NOT_ASKED.get(case.path, ())
    checks = [check for check in ASKED if check.__name__ not in skipped]
    case.call_and_validate(api.base_url, checks=checks, timeout=20, **more)


@operations.parametrize()
@bounded
def test_nobody_breaks_it_without_an_account(
    case: schemathesis.Case, api: Api, known: Known
) -> None:
    ask(case, api, known)


@operations.parametrize()
@bounded
def test_nobody_breaks_it_with_one(
    case: schemathesis.Case, api: Api, known: Known, headers: dict[str, str]
) -> None:
    if (case.method, case.path) not in ENDS_THE_SESSION:
        ask(case, api, known, headers=headers)
