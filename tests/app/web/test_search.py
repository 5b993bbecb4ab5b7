"""POST /search: what comes back, once or line by line."""

from __future__ import annotations


def test_a_search_is_answered_once_with_every_result_and_where_it_was(client):
    answer = client.post("/search", json={"text": "red mug"}).json()
    assert answer["stage"] == "reranked"
    assert [r["retrieved"] for r in answer["results"]] == [9, 8, 7, 6, 5, 4, 3, 2, 1]
