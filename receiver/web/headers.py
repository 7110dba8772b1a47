"""What every answer says to browsers: that nothing of it is to be guessed, kept, framed or loaded by another site."""

from flask import Response

_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Our only page is text and links; nothing of it is loaded, sent or framed.
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
_TLS = {"Strict-Transport-Security": "max-age=31536000"}


def harden(response: Response, *, with_tls: bool) -> Response:
    """Add what the answer does not say itself."""
    # Every answer is about this moment: a proxy that keeps a pause would show it for ever.
    said = {"Cache-Control": "no-store"} | _SECURITY | (_TLS if with_tls else {})
    for name, value in said.items():
        response.headers.setdefault(name, value)
    return response
