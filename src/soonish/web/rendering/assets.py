"""The built files under /assets: names contain a hash, so they are cached forever."""

from __future__ import annotations

import json
import mimetypes
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from soonish.errors import ConfigurationError

mimetypes.add_type("font/woff2", ".woff2")
mimetypes.add_type("font/ttf", ".ttf")
FOLDER = Path(__file__).parents[1] / "assets"
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))


@cache
def manifest() -> dict[str, str]:
    """Return built file names by source name. Raise ConfigurationError before the build."""
    try:
        return json.loads((FOLDER / "manifest.json").read_text())
    except FileNotFoundError as error:
        raise ConfigurationError(
            "The front-end assets are not built; run `npm ci && npm run build`."
        ) from error


def asset(name: str) -> str:
    """Return the address of a built asset, e.g. `app.css` -> `/assets/app.1a2b3c.css`."""
    return f"/assets/{manifest()[name]}"


class Assets:
    """ASGI app that serves the manifest's files, with the best compression the client accepts."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Starlette leaves the mount's prefix in scope["path"] and names it in root_path.
        name = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        if name not in manifest().values() or scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(404)
        accepted = Headers(scope=scope).get("accept-encoding", "")
        await _file(name, accepted)(scope, receive, send)


def _file(name: str, accepted: str) -> FileResponse:
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    path = FOLDER / name
    for encoding, suffix in _ENCODINGS:
        if encoding in accepted:
            headers["Content-Encoding"] = encoding
            path = FOLDER / f"{name}{suffix}"
            break
    return FileResponse(path, headers=headers, media_type=mimetypes.guess_type(name)[0])
