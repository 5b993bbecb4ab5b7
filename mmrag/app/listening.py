"""Where a server listens. In: an address, a port, perhaps a secret. Out: a listening socket."""

from __future__ import annotations

import socket

from mmrag.app.web.guard import is_loopback
from mmrag.errors import SettingError

__all__ = ["listen"]


def listen(bind: str, port: int, access_token: str) -> socket.socket:
    """Take a port, 0 for a free one; where others can reach it, only with a secret.

    Raises
    ------
    SettingError
        When the secret is missing, or the port taken.

    Examples
    --------
    >>> listen("0.0.0.0", 0, "")
    Traceback (most recent call last):
    mmrag.errors.SettingError: --bind 0.0.0.0 can be reached by others: give a secret, ...
    """
    if not access_token and not is_loopback(bind):
        raise SettingError(
            f"--bind {bind} can be reached by others: give a secret, "
            "as in --access-token $(openssl rand -hex 16)"
        )
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        return socket.create_server((bind, port), family=family)
    except OSError as error:
        raise SettingError(
            f"cannot listen on {bind}, port {port} ({error.strerror or error}): "
            "--port 0 takes a free one"
        ) from error
