"""Downloads the Temporal CLI with the SDK's own downloader: `python -m ... <folder>`.

The SDK has no call that only downloads, so the server is started once and stopped. A process of
its own, because the download cannot be interrupted from Python.
"""

from __future__ import annotations

import asyncio
import sys

from temporalio.testing import WorkflowEnvironment

from soonish.local.temporal_server import TEMPORAL_VERSION


async def download(folder: str) -> None:
    """Put the program into `folder`; raises RuntimeError where it cannot be had."""
    environment = await WorkflowEnvironment.start_local(
        download_dest_dir=folder, dev_server_download_version=f"v{TEMPORAL_VERSION}"
    )
    await environment.shutdown()


if __name__ == "__main__":
    asyncio.run(download(sys.argv[1]))
