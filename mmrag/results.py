"""The nouns of one search: what was asked, what was found, and what a vision LLM made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mmrag.images import ImagePolicy
from mmrag.images.redact import redact_url
from mmrag.query import Query
from mmrag.rerank import RerankResult

__all__ = ["Found", "Hit", "Move"]


@dataclass(frozen=True)
class Hit:
    """One image that retrieval found; ``image`` is its path or URL, to open it by."""

    id: str
    image: str
    score: float
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def title(self) -> str:
        """What a person calls it: its title, or the name of its file."""
        return str(self.metadata.get("title") or "").strip() or self.place.rsplit("/", 1)[-1]

    @property
    def place(self) -> str:
        """Its path or URL, to be shown: a URL without password and query, which may be secret."""
        return redact_url(self.image)


@dataclass(frozen=True)
class Move:
    """A hit, the place retrieval gave it and the place it has now; places count from 1."""

    hit: Hit
    before: int
    after: int

    @property
    def way(self) -> Literal["up", "down", "same"]:
        """Where it went."""
        if self.after == self.before:
            return "same"
        return "up" if self.after < self.before else "down"

    @property
    def arrow(self) -> str:
        """The way it went, and how far.

        Examples
        --------
        >>> [Move(Hit("a", "a.jpg", 1.0), before, 3).arrow for before in (7, 2, 3)]
        ['▲4', '▼1', '=']
        """
        sign = {"up": "▲", "down": "▼", "same": "="}[self.way]
        return sign if self.way == "same" else f"{sign}{abs(self.before - self.after)}"


@dataclass(frozen=True)
class Found:
    """One search.

    Attributes
    ----------
    query
        What was asked.
    hits
        In the order of retrieval; their labels in ``reranked.ranking`` count from 1.
    timings_ms
        What each stage took, in the order of the stages.
    unknown_words
        Words of the query that the encoder was never taught.
    reranked
        None when no vision LLM was asked.
    policy
        Which files and hosts may be read to show the hits.
    """

    query: Query
    hits: tuple[Hit, ...]
    timings_ms: Mapping[str, float] = field(default_factory=dict[str, float])
    unknown_words: tuple[str, ...] = ()
    reranked: RerankResult | None = None
    policy: ImagePolicy = field(default=ImagePolicy(), repr=False)

    @property
    def moves(self) -> tuple[Move, ...]:
        """The hits, best first as things stand, each with where it came from.

        Examples
        --------
        >>> from mmrag.ranking import Ranking
        >>> hits = tuple(Hit(name, name, 0.5) for name in "abc")
        >>> reranked = RerankResult(Ranking(order=[3, 1, 2]), top=(3, 1, 2))
        >>> found = Found(Query("mug"), hits, reranked=reranked)
        >>> [(move.hit.id, move.arrow) for move in found.moves]
        [('c', '▲2'), ('a', '▼1'), ('b', '▼1')]
        """
        order = self.reranked.ranking.order if self.reranked else range(1, len(self.hits) + 1)
        return tuple(Move(self.hits[before - 1], before, after) for after, before in enumerate(order, 1))

    @property
    def failure(self) -> str:
        """Why the vision LLM gave no answer at all; empty when it gave one, or was not asked."""
        reranked = self.reranked
        return reranked.failures[0] if reranked and reranked.failures and not reranked.calls else ""

    def to_json(self) -> dict[str, Any]:
        """Tell all but the images, for machines."""
        ranking = self.reranked.ranking if self.reranked else None
        return {
            "query": {"text": self.query.text, "image": self.query.image is not None},
            "hits": [
                {
                    "rank": move.after,
                    "retrieved": move.before,
                    "id": move.hit.id,
                    "image": move.hit.image,
                    "score": round(move.hit.score, 6),
                    "metadata": dict(move.hit.metadata),
                }
                for move in self.moves
            ],
            "reason": ranking.reason if ranking else None,
            "repairs": ranking.repairs if ranking else None,
            "caption": self.reranked.caption if self.reranked else None,
            "unknown_words": list(self.unknown_words),
            "timings_ms": {stage: round(ms, 2) for stage, ms in self.timings_ms.items()},
        }
