"""Show mails as separate documents in a frame."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response

# The mail's own styles may apply within its frame; nothing is loaded and no script runs.
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)


def mail_frame(html: str) -> Response:
    """Return the HTML part of a mail as a sandboxed document that only our own pages may frame."""
    headers = {"Content-Security-Policy": _MAIL_POLICY, "Cross-Origin-Opener-Policy": "unsafe-none"}
    return HTMLResponse(html, headers=headers)
