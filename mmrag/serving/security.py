"""Access control for HTTP servers: tokens, loopback names, origins, request sizes; and the socket they listen on."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import URL, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmrag.errors import SettingError

__all__ = ["SecurityMiddleware", "bind_socket", "is_loopback", "run_server", "server_url"]

COOKIE = "mmrag_token"
PUBLIC_PATHS = frozenset({"/health"})  # probes have no token, and learn nothing that needs one

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class SecurityMiddleware:
    """ASGI middleware that rejects requests without the token, from other origins, or with too large a body.

    Without a token, requests must address this server by a loopback name: no other name can be pointed at it.
    """

    def __init__(self, app: ASGIApp, *, token: str, max_bytes: int) -> None:
        self._app, self._token, self._max_bytes = app, token, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if response := self._intercept(Request(scope)):
            return await response(scope, receive, send_with_headers)
        return await self._app(scope, self._limit_body(receive), send_with_headers)

    def _intercept(self, request: Request) -> Response | None:
        """Reject the request, or exchange a token in the URL for a cookie; None lets it pass."""
        if _is_cross_origin(request):
            return _reject(403, "this request comes from a page of another site: use this one's")
        if not self._token and not is_loopback(request.url.hostname or ""):
            return _reject(403, "without --access-token, only 127.0.0.1 and localhost are names of this server")
        if self._token and request.url.path not in PUBLIC_PATHS:
            if request.url.path == "/" and self._is_valid(request.query_params.get("token", "")):
                return self._set_cookie(request.url)
            if not self._is_valid(_token_of(request)):
                message = "open it with ?token=… once, or send the header Authorization: Bearer …"
                return _reject(401, f"this server requires its token: {message}", {"WWW-Authenticate": "Bearer"})
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_bytes:
            return _reject(413, self._too_large)
        return None

    def _set_cookie(self, url: URL) -> Response:
        response = RedirectResponse(f"/?{url.remove_query_params('token').query}", 303)
        # lax: a shared link opens; requests of other pages are recognized by their origin
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="lax")
        return response

    def _is_valid(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())

    def _limit_body(self, receive: Receive) -> Receive:
        remaining = self._max_bytes

        async def receive_limited() -> Message:
            nonlocal remaining
            message = await receive()
            remaining -= len(message.get("body", b""))
            if remaining < 0:
                raise HTTPException(413, self._too_large)
            return message

        return receive_limited

    @property
    def _too_large(self) -> str:
        return f"the request is larger than {self._max_bytes:,} bytes: send a smaller image"


def is_loopback(host: str) -> bool:
    """Return True if a host name or address is that of this machine.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "10.0.0.1", "a.example")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def bind_socket(bind: str, port: int, access_token: str) -> socket.socket:
    """Listen on a port, 0 for a free one; SettingError if it is taken, or others can reach it without a token."""
    if not access_token and not is_loopback(bind):
        raise SettingError(
            f"--bind {bind} can be reached by others: give a secret, as in --access-token $(openssl rand -hex 16)"
        )
    try:
        return socket.create_server((bind, port), family=socket.AF_INET6 if ":" in bind else socket.AF_INET)
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]
        raise SettingError(
            f"cannot listen on {bind}, port {port} ({reason}): "
            "--port 0 takes a free one, --bind an address of this machine"
        ) from error


def server_url(bind: str, listening: socket.socket) -> str:
    """Return the URL of a listening server, as in ``http://127.0.0.1:8765``."""
    return f"http://{f'[{bind}]' if ':' in bind else bind}:{listening.getsockname()[1]}"


def run_server(listening: socket.socket, app: ASGIApp) -> None:
    """Serve an app until Ctrl-C or SIGTERM; errors are logged, requests are not."""
    import uvicorn

    for name in ("mmrag.serving", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.ERROR)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[listening])


def _is_cross_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")


def _token_of(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")


def _reject(status: int, error: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": error}, status, headers)
