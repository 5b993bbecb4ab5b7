"""Who may ask, how much, and what a browser may do with the page: ASGI middleware around the app.

A page elsewhere cannot search through a visitor's browser, nor by a name that points at this host.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import URL, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "HEADERS", "Guard", "is_loopback"]

COOKIE = "mmrag_token"
OPEN = frozenset({"/health"})  # a probe has no token, and learns nothing worth one

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Lets a request through when it may pass, with a body that cannot grow over a limit.

    Parameters
    ----------
    app
        What is guarded.
    token
        What callers must know; when empty, they must call this machine by a loopback name.
    max_bytes
        The largest body.
    """

    def __init__(self, app: ASGIApp, *, token: str, max_bytes: int) -> None:
        self._app, self._token, self._max_bytes = app, token, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request = Request(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._answer(request)
        if answer is not None:
            return await answer(scope, receive, with_headers)
        return await self._app(scope, self._limited(receive), with_headers)

    def _answer(self, request: Request) -> Response | None:
        """Refuse, or send a visitor on who brought the token in the address."""
        if _comes_from_elsewhere(request):
            return _refusal(403, "this request comes from a page of another site: use this one's")
        if not self._token and not is_loopback(request.url.hostname or ""):
            return _refusal(403, "without --access-token, only 127.0.0.1 and localhost are names of this server")
        if self._token and request.url.path not in OPEN:
            given = request.query_params.get("token", "")
            if request.url.path == "/" and self._is_right(given):
                return self._entered(request.url)
            if not self._is_right(_token_of(request)):
                return _refusal(
                    401,
                    "this server asks for its token: open it with ?token=… once, "
                    "or send the header Authorization: Bearer …",
                    {"WWW-Authenticate": "Bearer"},
                )
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_bytes:
            return _refusal(413, self._too_large())
        return None

    def _entered(self, url: URL) -> Response:
        rest = url.remove_query_params("token")
        response = RedirectResponse(f"/?{rest.query}", 303)
        # lax: a link that somebody was sent opens; what only this page may do, its origin tells
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="lax")
        return response

    def _is_right(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())

    def _limited(self, receive: Receive) -> Receive:
        left = self._max_bytes

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, self._too_large())
            return message

        return limited

    def _too_large(self) -> str:
        return f"the request is larger than {self._max_bytes:,} bytes: send a smaller image"


def is_loopback(host: str) -> bool:
    """Tell whether a name or address is this machine's own.

    Examples
    --------
    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "10.0.0.1", "a.example")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _comes_from_elsewhere(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")


def _token_of(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")


def _refusal(status: int, error: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": error}, status, headers)
