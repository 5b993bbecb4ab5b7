"""The JSON API conforms to its OpenAPI schema, whatever is sent; schemathesis generates the requests."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from live_server import serving
from run_profile import scaled
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mmrag.serving.app import create_app

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


OPERATIONS = [
    ("POST", "/search"),
    ("GET", "/images/{id}"),
    ("GET", "/uploads/{id}"),
    ("GET", "/composites/{name}"),
    ("GET", "/health"),
    ("GET", "/metrics"),
]


@pytest.fixture(scope="module")
def api(shop):
    with serving(create_app(shop.searcher())) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


# Not by schemathesis' own pytest plugin, which asks of pytest's insides what version 9 has not.
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_operation_conforms_to_its_openapi_schema(api, method, path):
    @given(api[path][method].as_strategy(), st.booleans())
    @settings(max_examples=scaled(fast=20, full=200) if method == "POST" else 10, derandomize=True, database=None)
    def holds(case, plain):
        if plain and isinstance(case.body, dict):  # few made-up filters and images are any
            case.body = {k: v for k, v in case.body.items() if k in ("text", "top", "rerank")}
        case.call_and_validate(checks=CHECKS)

    holds()


def test_every_operation_is_described(client):
    paths = client.get("/openapi.json").json()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == set(OPERATIONS)
    body = paths["/search"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "multipart/form-data"}
    assert body["multipart/form-data"]["schema"]["properties"]["image"]["format"] == "binary"
