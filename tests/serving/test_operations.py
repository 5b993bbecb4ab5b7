"""Health, metrics and the HTML of the page."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mmrag.errors import StoreError
from mmrag.testing import MockVision, malformed


def samples(client) -> dict[tuple[str, ...], float]:
    text = client.get("/metrics").text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_requests_by_route_rerankings_and_repairs(serve):
    client = serve(MockVision(malformed("duplicate")))
    client.post("/search", json={"text": "red"})
    client.post("/search", json={})
    client.get("/images/one")
    client.get("/images/two")
    counted = samples(client)
    assert counted["mmrag_requests_total", "/search", "200"] == 1
    assert counted["mmrag_requests_total", "/search", "422"] == 1
    assert counted["mmrag_requests_total", "/images/{id}", "404"] == 2
    assert counted["mmrag_rerankings_total",] == 1
    assert counted["mmrag_repaired_rerankings_total",] == 1
    assert counted["mmrag_stage_seconds_count", "encode"] == 1
    assert counted["mmrag_stage_seconds_count", "rank"] == 1
    assert counted["mmrag_in_flight", "vision LLM"] == 0


def test_metrics_have_no_label_per_unknown_path(client):
    client.get("/made-up")
    assert "made-up" not in client.get("/metrics").text


def test_two_servers_have_separate_metrics(serve):
    one, two = serve(), serve()
    one.post("/search", json={"text": "red", "rerank": False})
    assert ("mmrag_requests_total", "/search", "200") not in samples(two)


def test_health_fails_if_the_index_cannot_be_read_and_reveals_no_path(client, shop, monkeypatch):
    def broken():
        raise StoreError("reading in /secret/place.db failed")

    monkeypatch.setattr(type(shop.index.vector_store), "count", lambda self: broken())
    response = client.get("/health")
    assert response.status_code == 500
    assert response.json() == {"error": "the server has a fault (StoreError): its log says more"}


class LinkCollector(HTMLParser):
    """Collects the URLs that a page makes a browser fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href", "action")]
        self.inline += [name for name, _ in attrs if name == "style" or name.startswith("on")]


def test_the_page_fetches_only_from_its_server(client):
    page = LinkCollector(client.get("/").text)
    assert len(page.found) > 12
    assert all(address.startswith("/") and address[1:2] != "/" for address in page.found)
    assert page.inline == []  # the policy would refuse it
    for file in ("page.js", "results.js", "arrows.js", "page.css", "icon.svg"):
        response = client.get(f"/page/{file}")
        assert response.status_code == 200
        assert "https://" not in response.text


def test_ids_and_titles_are_escaped_in_the_page(client, shop, monkeypatch):
    evil = [("a", '"><script>alert(1)</script>')]
    monkeypatch.setattr("mmrag.serving.service.IndexedImages.sample", lambda self, n: evil)
    assert "<script>alert" not in client.get("/").text


def test_an_empty_index_says_what_to_type(client, monkeypatch):
    monkeypatch.setattr("mmrag.serving.service.IndexedImages.sample", lambda self, n: [])
    assert "mmrag index FOLDER" in client.get("/").text


@pytest.mark.parametrize("address", ["/docs", "/redoc"])
def test_api_docs_pages_that_load_foreign_scripts_are_not_served(client, address):
    assert client.get(address).status_code == 404
