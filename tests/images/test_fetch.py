"""URLs are fetched from allowed hosts at public addresses only, redirects included (no SSRF)."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from image_server import serving

from mmrag.errors import ImageError
from mmrag.images import ImagePolicy, load_image

# For this test only; its key is no secret.
CERTIFICATE = Path(__file__).parents[1] / "golden/tls/shop.example.pem"
PUBLIC = "93.184.216.34"
HERE = ImagePolicy(hosts=["127.0.0.1"])


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.fixture
def shop(server):
    server.seen.clear()
    return f"http://127.0.0.1:{server.server_port}"


@contextmanager
def names(monkeypatch, **addresses):
    """Resolve host names to given addresses; yields the names that were looked up."""
    looked_up = []

    def look_up(host, port, *args, **options):
        looked_up.append(host)
        found = addresses.get(host.replace(".", "_"), host)
        family = socket.AF_INET6 if ":" in found else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (found, port))]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield looked_up


def test_an_image_on_an_allowed_host_is_loaded(shop, server):
    assert load_image(f"{shop}/a.png", HERE).size == (40, 30)
    assert server.seen == [("/a.png", f"127.0.0.1:{server.server_port}")]


def test_spaces_unicode_and_queries_are_percent_encoded(shop, server):
    for path in ("/my cup.png", "/чашка.png?a=1&b=ü", "/100%25.png", "/a.png#part"):
        load_image(shop + path, HERE)
    assert [path for path, _ in server.seen] == [
        "/my%20cup.png",
        "/%D1%87%D0%B0%D1%88%D0%BA%D0%B0.png?a=1&b=%C3%BC",
        "/100%25.png",
        "/a.png",
    ]


@pytest.mark.parametrize("hosts", [[], ["shop.example"], ["127.0.0.10", "27.0.0.1", ".0.0.1"]])
def test_a_host_that_is_not_allowed_gets_no_request(shop, server, hosts):
    with pytest.raises(ImageError, match=r"on the host '127.0.0.1', allowed are: .* ImagePolicy"):
        load_image(f"{shop}/a.png", ImagePolicy(hosts=hosts))
    assert server.seen == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "FILE://127.0.0.1/etc/passwd", "ftp://127.0.0.1/a.png",
        "gopher://127.0.0.1/a", "php://filter", "dict://127.0.0.1:11/",
    ],
)  # fmt: skip
def test_other_schemes_are_refused(url):
    with pytest.raises(ImageError, match=r"has the scheme '\w+', allowed are http and https"):
        load_image(url, HERE)


@pytest.mark.parametrize(
    "authority",
    [
        "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "[::1]",
        "[::ffff:127.0.0.1]", "0", "evil.example#127.0.0.1", "127.0.0.1@evil.example",
        "evil.example\\@127.0.0.2", "[::127.0.0.1]", "①27.0.0.1", "127.0.0.2", "127.0.0.1@localhost",
    ],
)  # fmt: skip
def test_other_spellings_of_an_allowed_host_are_refused(authority, server):
    with pytest.raises(ImageError, match="on the host"):
        load_image(f"http://{authority}:{server.server_port}/a.png", HERE)


@pytest.mark.parametrize("spelling", ["localhost", "2130706433", "0x7f000001", "127.1"])
def test_an_allowed_name_of_a_private_address_is_refused(spelling, server):
    with pytest.raises(ImageError, match=r"leads to the private address .*(127.0.0.1|::1)"):
        load_image(f"http://{spelling}:{server.server_port}/a.png", ImagePolicy(hosts=[spelling]))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1",
        "198.18.0.1", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "::127.0.0.1", "fe80::1", "fe80::1%lo", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "2001:0:7f00:1::", "100::1",
    ],
)  # fmt: skip
def test_a_name_that_resolves_to_a_private_address_is_refused(monkeypatch, address):
    with (
        names(monkeypatch, shop_example=address),
        pytest.raises(ImageError, match=r"leads to the private address .* name it in ImagePolicy"),
    ):
        load_image("http://shop.example/a.png", ImagePolicy(hosts=["shop.example"]))


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch, address):
    tried = []

    def connect(place, *args, **options):
        tried.append(place)
        raise OSError("no way out of the test")

    monkeypatch.setattr(socket, "create_connection", connect)
    with (
        names(monkeypatch, shop_example=address) as looked_up,
        pytest.raises(ImageError, match="no way out of the test"),
    ):
        load_image("https://shop.example/a.png", ImagePolicy(hosts=["SHOP.example"]))
    assert looked_up == ["shop.example"]
    assert tried == [(address, 443)]


def test_one_private_address_among_public_ones_is_refused(monkeypatch):
    found = [(2, 1, 6, "", (address, 80)) for address in (PUBLIC, "10.0.0.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    with pytest.raises(ImageError, match=r"private address 10\.0\.0\.7"):
        load_image("http://shop.example/a.png", ImagePolicy(hosts=["shop.example"]))


def test_a_redirect_to_an_allowed_host_is_followed(shop):
    assert load_image(f"{shop}/to?/a.png", HERE).size == (40, 30)
    assert load_image(f"{shop}/to?{shop}/to?/a.png", HERE).size == (40, 30)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://localhost/a.png", "on the host 'localhost', allowed are: 127.0.0.1"),
        ("//169.254.169.254/latest/meta-data", "on the host '169.254.169.254'"),
        ("http://[::1]/a.png", "on the host '::1'"),
        ("file:///etc/passwd", "has the scheme 'file'"),
        ("data:image/png;base64,AAAA", "has the scheme 'data'"),
        ("", "redirects more than 3 times"),
        ("/to?/to?/to?/to?/a.png", "redirects more than 3 times"),
    ],
)
def test_a_redirect_to_anywhere_else_is_refused(shop, server, target, reason):
    with pytest.raises(ImageError, match=reason):
        load_image(f"{shop}/to?{target}", HERE)
    assert len(server.seen) <= 4


def test_a_redirect_to_a_name_of_a_private_address_is_refused(monkeypatch, shop):
    policy = ImagePolicy(hosts=["127.0.0.1", "shop.example"])
    with names(monkeypatch, shop_example="127.0.0.1"), pytest.raises(ImageError, match="private address 127"):
        load_image(f"{shop}/to?http://shop.example/a.png", policy)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nothing", "answered 404, not 200"),
        ("/page", "/page is no image that can be read"),
        ("/boast", "has 99,999,999,999 bytes, the limit is 1,000"),
        ("/endless", "has more than 1,000 bytes, the limit is 1,000"),
    ],
)
def test_a_response_that_is_no_image_is_refused(shop, path, reason):
    with pytest.raises(ImageError, match=reason):
        load_image(shop + path, ImagePolicy(hosts=["127.0.0.1"], max_bytes=1_000))


def test_a_slow_response_ends_at_the_timeout(shop):
    start = time.monotonic()
    with pytest.raises(ImageError, match=r"cannot be fetched within 0.3 s"):
        load_image(f"{shop}/drip", ImagePolicy(hosts=["127.0.0.1"], timeout=0.3))
    assert time.monotonic() - start >= 0.3


def test_an_unreachable_server_is_named():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(ImageError, match=rf"^http://127.0.0.1:{port}/a.png cannot be fetched"):
        load_image(f"http://127.0.0.1:{port}/a.png", HERE)


def test_password_and_query_of_a_url_are_redacted(shop):
    with pytest.raises(ImageError) as refusal:
        load_image(f"{shop.replace('//', '//me:secret@')}/nothing?token=secret", HERE)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://", "http:///a.png", "http://[::1", "http://127.0.0.1:x/", "http://127.0.0.1:99999/",
        "http://127.0.0.1\n.evil/", "https://\0/", "http://" + "a" * 300,
    ],
)  # fmt: skip
def test_an_invalid_url_is_refused(url):
    with pytest.raises(ImageError):
        load_image(url, HERE)


@pytest.fixture
def tls_shop(monkeypatch):
    """A server whose certificate is for shop.example, at whatever public address is looked up."""
    connect = socket.create_connection
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with serving(CERTIFICATE) as server, names(monkeypatch, shop_example=PUBLIC, fake_example=PUBLIC):
        here = server.server_address
        monkeypatch.setattr(socket, "create_connection", lambda place, *rest, **more: connect(here))
        yield server


def test_a_certificate_is_checked_against_the_name_in_the_url(tls_shop):
    policy = ImagePolicy(hosts=["shop.example", "fake.example"])
    assert load_image("https://shop.example/a.png", policy).size == (40, 30)
    assert tls_shop.seen == [("/a.png", "shop.example")]
    with pytest.raises(ImageError, match=r"CERTIFICATE_VERIFY_FAILED.*fake\.example"):
        load_image("https://fake.example/a.png", policy)


def test_an_untrusted_certificate_is_refused(tls_shop, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ImageError, match="CERTIFICATE_VERIFY_FAILED"):
        load_image("https://shop.example/a.png", ImagePolicy(hosts=["shop.example"]))
