"""The server's program, its command line, and a real server that starts with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from soonish.config import Settings
from soonish.errors import ConfigurationError
from soonish.local import temporal_server as module
from soonish.local.temporal_server import (
    MODULE,
    TEMPORAL_VERSION,
    ensure_temporal,
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


def no_download(say: Callable[[str], None]) -> None:
    say("no download here")


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No Temporal anywhere and no way to download it; returns the folder that PATH starts with."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(module, "_download", no_download)
    return tmp_path / "bin"


def test_builds_with_go_and_keeps_the_program(bare_machine: Path) -> None:
    build = 'while [ "$1" != -o ]; do shift; done; printf "#!/bin/sh\\n%s\\n" "$WORKING" > "$2"'
    script = f"""
WORKING="{WORKING}"
case "$1" in
version) echo go version go1.26.8 linux/amd64 ;;
build) [ -f go.mod ] || exit 9; {build}; chmod 755 "$2" ;;
esac"""
    go = make_program(bare_machine / "go", script)
    said: list[str] = []
    binary = ensure_temporal(said.append)
    assert binary == module.cached_binary()
    assert works(binary)
    assert any(str(go) in line for line in said)
    assert sorted(path.name for path in binary.parent.iterdir()) == ["install.lock", "temporal"]
    said.clear()
    assert ensure_temporal(said.append) == binary
    assert said == []


def test_a_build_that_fails_says_why(bare_machine: Path) -> None:
    script = 'if [ "$1" = version ]; then echo go version go1.25.0 x; else echo broken; exit 1; fi'
    make_program(bare_machine / "go", script)
    with pytest.raises(ConfigurationError, match=r"(?s)failed:.*broken"):
        ensure_temporal(lambda line: None)
    assert not module.cached_binary().exists()


def test_an_old_go_is_not_used(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_program(bare_machine / "go", "echo go version go1.22.1 linux/amd64")
    make_program(bare_machine / "uv", "exit 1")
    with pytest.raises(ConfigurationError, match="install Go"):
        ensure_temporal(lambda line: None)
