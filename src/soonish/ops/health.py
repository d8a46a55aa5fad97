"""Check the health of every part of the installation, each within 500 ms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from pydantic import BaseModel
from sqlalchemy import func, select, text
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.service import RPCError

from soonish.infra.db.models.installation import Lease
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.types import utc_now
from soonish.runtime import Runtime

LIMIT_SECONDS = 0.5
LATE_SECONDS = 60.0  # an undone outbox row older than this degrades


class HealthPart(BaseModel):
    ok: bool
    detail: str
    latency_ms: float


class IntegrationsHealth(BaseModel):
    ok: bool
    open_circuits: int
    failing: int


class HealthReport(BaseModel):
    status: str
    parts: dict[str, HealthPart]
    integrations: IntegrationsHealth


class TemporalConnection(BaseModel):
    connected: bool
    namespace: str
    server_version: str | None
    latency_ms: float


async def check_health(runtime: Runtime) -> HealthReport:
    """Check database, Temporal, workers, mail, outbox and Redis (if used) concurrently."""
    checks: dict[str, Callable[[Runtime], Awaitable[tuple[bool, str]]]] = {
        "database": _database,
        "temporal": _temporal,
        "worker": _worker,
        "mail": _mail,
        "outbox": _outbox,
    }
    if runtime.settings.redis_url:
        checks["limits"] = _limits
    results = await asyncio.gather(*(_run_check(one, runtime) for one in checks.values()))
    found = dict(zip(checks, results, strict=True))
    status = "ok" if all(part.ok for part in found.values()) else "degraded"
    return HealthReport(
        status=status, parts=found, integrations=await _integrations(runtime, found)
    )


async def _run_check(
    one: Callable[[Runtime], Awaitable[tuple[bool, str]]], runtime: Runtime
) -> HealthPart:
    started = time.perf_counter()
    try:
        ok, detail = await asyncio.wait_for(one(runtime), LIMIT_SECONDS)
    except TimeoutError:
        ok, detail = False, "does not answer within 500 ms"
    except Exception as error:
        ok, detail = False, type(error).__name__
    return HealthPart(
        ok=ok, detail=detail, latency_ms=round((time.perf_counter() - started) * 1000, 1)
    )


async def _database(runtime: Runtime) -> tuple[bool, str]:
    async with runtime.db.read() as session:
        await session.execute(text("SELECT 1"))
    return True, "SQLite" if runtime.settings.is_sqlite else "PostgreSQL"


async def _temporal(runtime: Runtime) -> tuple[bool, str]:
    try:
        version = await server_version(runtime)
    except (RPCError, RuntimeError):  # the latter: there is no connection
        return False, "cannot be reached"
    return True, f"Temporal {version}"


async def server_version(runtime: Runtime) -> str:
    """Return Temporal's version. Raises RPCError or RuntimeError while it is away."""
    client = await runtime.temporal.client()
    answer = await client.workflow_service.get_system_info(
        GetSystemInfoRequest(), timeout=timedelta(seconds=LIMIT_SECONDS)
    )
    return answer.server_version


async def _worker(runtime: Runtime) -> tuple[bool, str]:
    async with runtime.db.read() as session:
        query = select(func.count()).select_from(Lease)
        alive = await session.scalar(
            query.where(Lease.name.startswith("worker:"), Lease.until > utc_now())
        )
    return bool(alive), f"{alive} running"


async def _mail(runtime: Runtime) -> tuple[bool, str]:
    if not runtime.settings.smtp_server:
        return False, "SMTP_SERVER is not set"
    result = await runtime.mailer.check()
    return result.ok, "answers" if result.ok else result.detail


async def _outbox(runtime: Runtime) -> tuple[bool, str]:
    async with runtime.db.read() as session:
        query = select(func.min(OutboxRow.created_at)).where(OutboxRow.done_at.is_(None))
        oldest = await session.scalar(query)
    age = (utc_now() - oldest).total_seconds() if oldest else 0.0
    return age < LATE_SECONDS, f"oldest undone row is {age:.0f} s old" if oldest else "empty"


async def _limits(runtime: Runtime) -> tuple[bool, str]:
    return await runtime.limits.check()


async def _integrations(runtime: Runtime, found: dict[str, HealthPart]) -> IntegrationsHealth:
    if not found["database"].ok:
        return IntegrationsHealth(ok=False, open_circuits=0, failing=0)
    async with runtime.db.read() as session:
        row = (
            await session.execute(
                select(
                    func.count().filter(Integration.open_until > utc_now()),
                    func.count().filter(Integration.failing_since.is_not(None)),
                ).where(Integration.deleted_at.is_(None), Integration.is_active.is_(True))
            )
        ).one()
    return IntegrationsHealth(ok=not row[0] and not row[1], open_circuits=row[0], failing=row[1])


async def temporal_connection(runtime: Runtime) -> TemporalConnection:
    """Return whether Temporal answers within 500 ms."""
    started = time.perf_counter()
    version = None
    try:
        version = await asyncio.wait_for(server_version(runtime), LIMIT_SECONDS)
    except (TimeoutError, RPCError, RuntimeError):
        connected = False
    else:
        connected = True
    return TemporalConnection(
        connected=connected,
        namespace=runtime.settings.temporal_namespace,
        server_version=version,
        latency_ms=round((time.perf_counter() - started) * 1000, 1),
    )
