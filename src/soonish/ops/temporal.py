"""This process's connection to Temporal: made when first needed, kept, bounded in time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client, TLSConfig, WorkflowExecutionDescription
from temporalio.service import RPCError, RPCStatusCode

from soonish.config import Settings

RPC_TIMEOUT = timedelta(seconds=5)


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
    """Gives the client; connects lazily, so a process starts and serves without Temporal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def client(self) -> Client:
        """The connected client. Raises RPCError or RuntimeError while Temporal is away."""
        async with self._connecting:
            if self._client is None:
                self._client = await Client.connect(
                    self._settings.temporal_address,
                    namespace=self._settings.temporal_namespace,
                    api_key=self._settings.temporal_api_key or None,
                    tls=_tls(self._settings),
                    lazy=True,
                )
        return self._client

    async def describe(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        """What Temporal knows of the workflow; None where it does not know it.

        Raises RPCError or RuntimeError while Temporal is away.
        """
        handle = (await self.client()).get_workflow_handle(workflow_id)
        try:
            return await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
