"""The process's connection to Temporal: opened when first needed, with timeouts."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client, TLSConfig
from temporalio.service import RPCError, RPCStatusCode

from soonish.config import Settings
from soonish.errors import Unavailable

RPC_TIMEOUT = timedelta(seconds=5)
DESCRIBE_SECONDS = 2.0


def _tls(settings: Settings) -> TLSConfig | bool:
    paths = (settings.temporal_tls_ca, settings.temporal_tls_cert, settings.temporal_tls_key)
    if not any(paths) and not settings.temporal_tls_server_name:
        return bool(settings.temporal_api_key)
    ca, cert, key = (Path(path).read_bytes() if path else None for path in paths)
    return TLSConfig(
        server_root_ca_cert=ca,
        client_cert=cert,
        client_private_key=key,
        domain=settings.temporal_tls_server_name or None,
    )


class Temporal:
    """Connects lazily, so that a process starts and serves without Temporal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def client(self) -> Client:
        """Return the client, connected at first use; it then reconnects by itself.

        Raises RPCError or RuntimeError (also for a timeout) while Temporal is away.
        """
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
        return self._client

    async def _connect(self) -> Client:
        try:
            async with asyncio.timeout(RPC_TIMEOUT.total_seconds()):
                return await Client.connect(
                    self._settings.temporal_address,
                    namespace=self._settings.temporal_namespace,
                    api_key=self._settings.temporal_api_key or None,
                    tls=_tls(self._settings),
                )
        except TimeoutError as error:
            raise RuntimeError("Temporal does not answer") from error

    async def describe(self, workflow_id: str) -> tuple[str, str] | None:
        """Return (status, run id) of the workflow's latest run; None if there is none.

        The status is Temporal's in lower case, such as `running`. Raises Unavailable while
        Temporal is away.
        """
        try:
            async with asyncio.timeout(DESCRIBE_SECONDS):
                handle = (await self.client()).get_workflow_handle(workflow_id)
                found = await handle.describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise Unavailable("Temporal does not answer") from error
        except (RuntimeError, TimeoutError) as error:
            raise Unavailable("Temporal does not answer") from error
        return (found.status.name.lower() if found.status else "unknown", found.run_id)
