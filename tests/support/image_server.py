"""A web server on this machine that serves an image, or fails as its path says."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from malformed_images import encoded, sample_image

PNG = encoded(sample_image(), "PNG")


class ImageServer(ThreadingHTTPServer):
    """Listens on a free port; `seen` holds each path asked for and the host named.

    `images` holds what it shows under a path, where that is not the usual image.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.seen: list[tuple[str, str | None]] = []
        self.images: dict[str, bytes] = {}
        self.closing = threading.Event()

    def handle_error(self, request, client_address) -> None:
        """Stay silent: a client that hangs up on a bad answer does what it should."""


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[ImageServer]:
    """Serve while the block runs; with a certificate, by https."""
    server = ImageServer()
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, argument = self.path.partition("?")
        self.server.seen.append((self.path, self.headers["Host"]))
        if path == "/to":
            self.answer(302, b"", Location=argument)
        elif path == "/drip":
            self.drip()
        elif path == "/boast":
            self.answer(200, b"", **{"Content-Length": "99999999999"})
        elif path == "/endless":
            self.pour()
        elif path == "/page":
            self.answer(200, b"<!doctype html>")
        elif path.endswith(".png"):
            self.answer(200, self.server.images.get(path, PNG))
        else:
            self.answer(404, b"")

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self):
        # A status line that never ends: each byte comes well before a socket would time out.
        while not self.server.closing.wait(0.05):
            self.wfile.write(b"H")

    def pour(self):
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not self.server.closing.is_set():
            self.wfile.write(b"\0" * 65_536)

    def log_message(self, *args):
        pass
