"""Download of images from allowed hosts, with checks of address, redirects, size and time."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from urllib.parse import quote, urljoin, urlsplit

from mmrag.errors import ImageError
from mmrag.images.policy import ImagePolicy
from mmrag.images.redact import describe_error, describe_source

__all__ = ["fetch"]

_MAX_REDIRECTS = 3
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


def fetch(url: str, policy: ImagePolicy) -> bytes:
    """Download an image, each redirect checked like the first URL; raise `ImageError` for whatever is not allowed.

    Proxies of the environment are not used, and the connection goes to the very address that was checked.
    """
    deadline = time.monotonic() + policy.timeout
    current = url
    try:
        for _ in range(_MAX_REDIRECTS + 1):
            with closing(_connect(current, policy)) as connection, _enforce_deadline(deadline, connection):
                response = _send_request(connection, current)
                if response.status not in _REDIRECT_STATUSES:
                    return _read_body(response, current, policy)
                current = urljoin(current, response.getheader("Location", ""))
    except ImageError:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ImageError(
            f"{describe_source(current)} cannot be fetched within {policy.timeout:g} s ({describe_error(error)}): "
            "check the address, raise ImagePolicy.timeout, or download the image and give its path"
        ) from error
    raise ImageError(f"{describe_source(url)} redirects more than {_MAX_REDIRECTS} times: give the last URL")


def _connect(url: str, policy: ImagePolicy) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ImageError(
            f"{describe_source(url)} has the scheme {parts.scheme!r}, allowed are http and https: "
            "give a path for a local file"
        )
    host = parts.hostname or ""
    if host not in policy.hosts:
        allowed = ", ".join(sorted(policy.hosts)) or "none"
        raise ImageError(
            f"{describe_source(url)} is on the host {host!r}, allowed are: {allowed}. "
            "Add it to ImagePolicy.hosts, or download the image and give its path"
        )
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    sock = _open_socket(host, port, url, policy)
    if secure:
        sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(host, port)
    connection.sock = sock  # so that no second DNS lookup can return another address
    return connection


@contextmanager
def _enforce_deadline(deadline: float, connection: http.client.HTTPConnection) -> Generator[None]:
    # A socket's own timeout restarts with each byte: a slow server could hold the connection for ever.
    timer = threading.Timer(deadline - time.monotonic(), _shut_down, [connection.sock])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if time.monotonic() >= deadline:
        raise TimeoutError("too slow")


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not the TLS one, which waits for its peer


def _open_socket(host: str, port: int, url: str, policy: ImagePolicy) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    private = [address for address in addresses if not _is_public(address)]
    if private and not _is_ip_address(host):
        raise ImageError(
            f"{describe_source(url)} leads to the private address {private[0]}: if that is meant, "
            "use the address in the URL and name it in ImagePolicy.hosts"
        )
    failure = OSError(f"no address for {host}")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=policy.timeout)
        except OSError as error:
            failure = error
    raise failure


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(str(address.ipv4_mapped))
        # 6to4 hides an IPv4 address; outside of 2000::/3 are local, translated, reserved ranges.
        if address not in _GLOBAL_UNICAST or address.sixtofour is not None:
            return False
    return address.is_global and not address.is_multicast


def _send_request(connection: http.client.HTTPConnection, url: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    target = quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", safe="/%?&=~!$'()*+,;:@[]")
    connection.request("GET", target, headers={"User-Agent": "mmrag", "Accept": "image/*"})
    return connection.getresponse()


def _read_body(response: http.client.HTTPResponse, url: str, policy: ImagePolicy) -> bytes:
    if response.status != 200:
        raise ImageError(f"{describe_source(url)} answered {response.status}, not 200: check the address")
    if (response.length or 0) > policy.max_bytes:
        raise policy.too_large(url, f"{response.length:,}")
    return response.read(policy.max_bytes + 1)
