"""Access control: loopback clients or the token, no cross-origin requests, security headers."""

from __future__ import annotations

import pytest

TOKEN = "open sesame"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize("address", ["/", "/images/a", "/metrics", "/openapi.json", "/page/page.js"])
def test_without_the_token_every_path_responds_401(serve, address):
    client = serve(token=TOKEN)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        response = client.get(address, headers=headers)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert client.post("/search", json={"text": "red"}).status_code == 401


def test_with_the_token_the_page_and_the_search_respond(serve):
    client = serve(token=TOKEN, host="shop.example")
    assert client.get("/", headers=BEARER).status_code == 200
    assert client.post("/search", json={"text": "red"}, headers=BEARER).status_code == 200


def test_a_token_in_the_url_becomes_a_cookie_and_leaves_the_address_bar(serve):
    client = serve(token=TOKEN)
    response = client.get("/", params={"q": "red", "token": TOKEN}, follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, "/?q=red")
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/").status_code == 200


def test_a_token_in_the_url_opens_only_the_page(serve):
    assert serve(token=TOKEN).get("/metrics", params={"token": TOKEN}).status_code == 401


def test_a_health_probe_needs_no_token(serve):
    assert serve(token=TOKEN).get("/health").json() == {"status": "ok", "images": 12, "in_flight": 0}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3", "[::1]", "a.localhost"])
def test_without_a_token_loopback_names_are_served(serve, host):
    assert serve(host=host).get("/health").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1", "localhost.evil.example"])
def test_without_a_token_other_host_names_are_refused_against_dns_rebinding(serve, host):
    response = serve(host=host).get("/health")
    assert response.status_code == 403
    assert "127.0.0.1 and localhost" in response.json()["error"]


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:8000", "null"])
def test_a_cross_origin_request_is_refused(client, origin):
    response = client.post("/search", json={"text": "red"}, headers={"Origin": origin})
    assert response.status_code == 403


def test_a_same_origin_request_is_served(client):
    headers = {"Origin": "http://127.0.0.1"}
    assert client.post("/search", json={"text": "red"}, headers=headers).status_code == 200


@pytest.mark.parametrize("address", ["/", "/page/page.css", "/images/nothing", "/nowhere"])
def test_every_response_has_a_content_security_policy(client, address):
    headers = client.get(address).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
