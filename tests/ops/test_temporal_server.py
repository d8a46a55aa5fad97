"""The server's program, its command line, and a real server that starts with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from soonish.config import Settings
from soonish.ops import temporal_server as module
from soonish.ops.temporal_server import (
    MODULE,
    TEMPORAL_VERSION,
    find_temporal,
    forget_stale_log,
    server_command,
    works,
)
from tests.support.temporal import TemporalServer


def make_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


WORKING = "echo 'temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)'"


async def test_the_namespace_is_reachable(temporal_server: TemporalServer) -> None:
    client = await Client.connect(temporal_server.address)
    answer = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace="default")
    )
    assert answer.namespace_info.name == "default"


def test_the_command_line(settings_for: Callable[..., Settings], tmp_path: Path) -> None:
    command = server_command(Path("/opt/temporal"), settings_for(temporal_port=7001))
    assert command[:3] == ["/opt/temporal", "server", "start-dev"]
    text = " ".join(command)
    assert f"--db-filename {tmp_path}/temporal.db" in text
    assert "--ip 127.0.0.1 --port 7001" in text
    assert "--sqlite-pragma journal_mode=wal --sqlite-pragma synchronous=normal" in text
    for name in ("transferProcessorMaxPollRPS", "timerProcessorMaxPollRPS"):
        assert f"--dynamic-config-value history.{name}=1000" in text
    assert "worker.schedulerNamespaceStartWorkflowRPS=1000" in text
    assert '"MaxConcurrentWorkflowTaskPollers":20' in text


def test_the_version_is_the_one_that_is_built() -> None:
    text = (MODULE / "go.mod").read_text()
    match = re.search(r"github\.com/temporalio/cli v(\S+)", text)
    assert match
    assert match[1] == TEMPORAL_VERSION


def test_path_comes_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    assert find_temporal() is None
    cached = make_program(module.cached_binary(), WORKING)
    assert find_temporal() == cached
    on_path = make_program(tmp_path / "bin" / "temporal", WORKING)
    assert find_temporal() == on_path


def test_a_program_that_does_not_work_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    broken = make_program(tmp_path / "bin" / "temporal", "exit 3")
    assert not works(broken)
    assert not works(tmp_path / "nothing")
    cached = make_program(module.cached_binary(), WORKING)
    assert find_temporal() == cached


def test_the_log_of_a_deleted_store_goes_with_it(tmp_path: Path) -> None:
    store, log = tmp_path / "temporal.db", tmp_path / "temporal.db-wal"
    store.touch()
    log.touch()
    forget_stale_log(tmp_path)
    assert log.exists()
    store.unlink()
    forget_stale_log(tmp_path)
    assert not log.exists()
