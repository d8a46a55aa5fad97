"""Real servers for every test that asks: Temporal, PostgreSQL, SMTP, HTTP, all on loopback."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import structlog

from soonish.config import Settings
from tests.support import FIXTURES
from tests.support.http_sink import HttpSink, serve_http
from tests.support.ports import free_port as find_free_port
from tests.support.postgres import PostgresServer, postgres
from tests.support.redis_server import RedisServer, redis
from tests.support.settings import forget_environment, make_settings
from tests.support.smtp_sink import SmtpSink, serve_smtp
from tests.support.temporal import TemporalServer, temporal

pytest_plugins = (*FIXTURES, "tests.support.second_tries")
forget_environment()


@pytest.fixture(scope="session")
def temporal_server() -> Generator[TemporalServer]:
    """A Temporal server with an empty store; `.address` is host:port."""
    with temporal() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Generator[PostgresServer]:
    """A PostgreSQL server; `.create_database()` returns the URL of an empty database."""
    with postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Generator[str]:
    """An empty PostgreSQL database for this test."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def redis_server() -> Generator[RedisServer]:
    """A Redis server with nothing in it; `.url`, `.stop()`, `.start()`."""
    with redis() as server:
        yield server


@pytest.fixture
def smtp_sink() -> Generator[SmtpSink]:
    with serve_smtp() as sink:
        yield sink


@pytest.fixture
def http_sink() -> Generator[HttpSink]:
    with serve_http() as sink:
        yield sink


@pytest.fixture
def free_port() -> Callable[[], int]:
    return find_free_port


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    """Makes Settings with secrets and this test's folder as home; takes overrides."""

    def make(**overrides: Any) -> Settings:
        return make_settings(tmp_path, **overrides)

    return make


@pytest.fixture(autouse=True)
def plain_logging() -> None:
    """An earlier test may have made an app that lets only louder lines through."""
    structlog.reset_defaults()
