"""What tests share: real servers on loopback, and the whole system in an empty home."""

import pytest

FIXTURES = (
    "tests.support.database",
    "tests.support.world",
    "tests.support.api",
    "tests.web.site",
    "tests.notifications.delivering",
    "tests.workflows.running",
)
pytest.register_assert_rewrite(*FIXTURES)  # before one of them imports another
