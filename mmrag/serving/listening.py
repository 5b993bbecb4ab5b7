"""A server on this machine. In: an address, a port, perhaps a secret, an app. Out: it is served."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from mmrag.errors import SettingError
from mmrag.serving.security import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["address", "listen", "serve_on"]

FAULTS = ("mmrag.serving", "uvicorn.error")
"""Who logs what goes wrong inside; visitors are told no more than that something did."""


def listen(bind: str, port: int, access_token: str) -> socket.socket:
    """Take a port, 0 for a free one; where others can reach it, only with a secret.

    Raises
    ------
    SettingError
        When the secret is missing, the port taken, or the address not this machine's.

    Examples
    --------
    >>> listen("0.0.0.0", 0, "")
    Traceback (most recent call last):
    mmrag.errors.SettingError: --bind 0.0.0.0 can be reached by others: give a secret, ...
    """
    if not access_token and not is_loopback(bind):
        raise SettingError(
            f"--bind {bind} can be reached by others: give a secret, as in --access-token $(openssl rand -hex 16)"
        )
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        return socket.create_server((bind, port), family=family)
    except OSError as error:
        fault = str(error.strerror or error).partition(" (while")[0]
        raise SettingError(
            f"cannot listen on {bind}, port {port} ({fault}): "
            "--port 0 takes a free one, --bind an address of this machine"
        ) from error


def address(bind: str, listening: socket.socket) -> str:
    """Tell where a server that listens is found.

    Examples
    --------
    >>> with listen("127.0.0.1", 0, "") as listening:
    ...     address("127.0.0.1", listening).rpartition(":")[0]
    'http://127.0.0.1'
    """
    return f"http://{f'[{bind}]' if ':' in bind else bind}:{listening.getsockname()[1]}"


def serve_on(listening: socket.socket, app: ASGIApp) -> None:
    """Serve until Ctrl-C or SIGTERM; requests are not logged, and faults are."""
    import uvicorn

    for name in FAULTS:
        logging.getLogger(name).setLevel(logging.ERROR)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[listening])
