"""A real HTTP server for the time of a block, on a free loopback port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn


@asynccontextmanager
async def serve(config: uvicorn.Config, port: int = 0) -> AsyncGenerator[str]:
    """Serve `config.app`, on any free port if none is given; gives its address."""
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            assert not task.done(), "the server ended before it was ready"
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()
