"""Committed histories replay on the code as it is: a change that would break a run is seen here.

`uv run python -m tests.workflows.record_histories` records them again.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from soonish.worker.main import WORKFLOWS
from soonish.worker.workflows import event
from tests.workflows.running import HISTORIES

NAMES = [
    "broadcast-account-mail",
    "broadcast-large",
    "broadcast-retried",
    "event-continued",
    "event-grace",
    "event-large-broadcast",
    "event-life-and-cancellation",
    "event-poison",
    "event-signals-by-hand",
    "former-remind-me",
    "former-reminder",
    "maintenance",
    "remind-me",
    "remind-me-withdrawn",
    "reminder",
    "reminder-not-wanted",
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_committed_history_replays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "event-continued":  # a run of thirty days, recorded in a second
        monkeypatch.setattr(event, "MAX_WAIT", timedelta(seconds=1))
    recorded = json.loads((HISTORIES / f"{name}.json").read_text())
    restrictions = SandboxRestrictions.default.with_passthrough_modules("soonish")
    replayer = Replayer(
        workflows=WORKFLOWS, workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions)
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(f"replayed-{name}", recorded))


def test_every_history_is_replayed_and_holds_no_address() -> None:
    """Histories carry ids only; who signals by hand chooses what to put there."""
    assert sorted(path.stem for path in HISTORIES.glob("*.json")) == NAMES
    for path in HISTORIES.glob("*.json"):
        if path.stem != "event-signals-by-hand":
            text = path.read_text()
            assert "example.com" not in text
            assert "Summer party" not in text
