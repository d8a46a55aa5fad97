"""What an installation says about itself at start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from soonish.app import create_app
from soonish.config import Settings
from soonish.db import crypto, migrate
from soonish.ops.installation import warn_of_unused

SECRET = "planted-secret"


def test_settings_that_do_nothing_yet_are_named(settings_for: Callable[..., Settings]) -> None:
    with capture_logs() as lines:
        warn_of_unused(settings_for(oidc_client_id="us", oidc_client_secret=SECRET))
    (line,) = lines
    assert line["log_level"] == "warning"
    assert line["settings"] == "OIDC_CLIENT_ID, OIDC_CLIENT_SECRET"
    assert SECRET not in str(line)


def test_nothing_is_said_where_none_is_set(settings_for: Callable[..., Settings]) -> None:
    with capture_logs() as lines:
        warn_of_unused(settings_for())
    assert lines == []


async def test_the_api_says_it_at_start(
    settings_for: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(oidc_issuer="https://id.example", log_format="json")
    await asyncio.to_thread(migrate.upgrade, settings)
    crypto.configure(settings)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        said = capsys.readouterr().err
    assert "this version does not use these settings yet" in said
    assert "OIDC_ISSUER" in said
    assert "id.example" not in said
