"""Result of a search: ranked images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import PurePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

from mmrag.images import ImagePolicy
from mmrag.images.encode import img_tag, thumbnail
from mmrag.images.redact import redact_url
from mmrag.query import Query
from mmrag.rerank import LLMCall

__all__ = ["RESULT_KEYS", "RankedImage", "RankedImages"]

RESULT_KEYS = ("llvm_rerank", "retrieval_score", "retrieval_rank")  # of `LLVMRerank`, no metadata of the image
TILE = 136  # pixels: nine in two rows of a notebook


class RankedImage(BaseModel):
    """One image of a result.

    Attributes
    ----------
    id : str
        Id of the indexed image.
    path : str
        Absolute path of its file; its URL if it has none.
    title : str
        Its title, else the name of its file.
    rank, retrieval_rank : int
        Final rank and rank before reranking, from 1.
    score : float
        Retrieval score (cosine similarity).
    rerank_score : float, optional
        Score of the reranker. Default: None, if it gave none.
    reason, description : str
        Why it ranks first, and what the vision LLM saw in it. Default: empty.
    metadata : dict
        Metadata of the image.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    path: str
    title: str
    rank: int
    retrieval_rank: int
    score: float
    rerank_score: float | None = None
    reason: str = ""
    description: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])

    @classmethod
    def from_node(cls, node: Any, *, rank: int, score: float | None) -> RankedImage:
        """Read a result out of a LlamaIndex node."""
        # An `ImageNode` and a `Node` keep path and URL differently.
        resource = getattr(node, "image_resource", None)
        path = getattr(node, "image_path", None) or getattr(node, "image_url", None)
        path = str(path or (resource and (resource.path or resource.url)) or "")
        metadata: dict[str, Any] = node.metadata
        reranked, name = metadata.get("llvm_rerank", {}), PurePath(redact_url(path)).stem
        return cls(
            id=node.node_id,
            path=path,
            title=str(metadata.get("title") or "").strip() or name or node.get_content()[:80],
            rank=rank,
            retrieval_rank=metadata.get("retrieval_rank", rank),
            score=metadata.get("retrieval_score", score) or 0.0,
            rerank_score=reranked.get("score"),
            reason=reranked.get("reason", ""),
            description=reranked.get("description", ""),
            metadata={key: value for key, value in metadata.items() if key not in RESULT_KEYS},
        )

    @property
    def display_path(self) -> str:
        """The path, or the URL without credentials and query string."""
        return redact_url(self.path)

    @property
    def direction(self) -> Literal["up", "down", "same"]:
        """Direction of the rank change."""
        if self.rank == self.retrieval_rank:
            return "same"
        return "up" if self.rank < self.retrieval_rank else "down"

    @property
    def rank_change(self) -> str:
        """Rank change as an arrow with the number of ranks; "=" if there is none.

        >>> RankedImage(id="a", path="a.jpg", title="a", rank=3, retrieval_rank=7, score=0.5).rank_change
        '▲4'
        """
        ranks = self.retrieval_rank - self.rank
        return f"{'▲' if ranks > 0 else '▼'}{abs(ranks)}" if ranks else "="


class RankedImages(BaseModel):
    """All images of a search, best first.

    Attributes
    ----------
    results : tuple of RankedImage
        In the order of their ranks; none of the retrieved images is missing.
    stage : {"retrieved", "reranked"}
        "reranked" if the reranker judged candidates, even if only some of them.
    caption : str
        Description of the query image by the vision LLM. Default: empty.
    repairs, failures : tuple of str
        Repairs of the reranker's answer, and errors of the reranker.
    unknown_words : tuple of str
        Words of the query that the encoder does not know.
    timings_ms : dict of str to float
        Milliseconds by stage.
    query : Query, optional
        The query. Not part of the JSON form, as the fields below.
    calls : tuple of LLMCall
        Calls of the vision LLM.
    policy : ImagePolicy
        Which images may be opened to show the results.
    source_nodes : tuple of NodeWithScore
        The LlamaIndex nodes, in the same order.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    results: tuple[RankedImage, ...] = ()
    stage: Literal["retrieved", "reranked"] = "retrieved"
    caption: str = ""
    repairs: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    unknown_words: tuple[str, ...] = ()
    timings_ms: dict[str, float] = Field(default_factory=dict[str, float])
    query: Query | None = Field(default=None, exclude=True)
    calls: tuple[LLMCall, ...] = Field(default=(), exclude=True)
    policy: ImagePolicy = Field(default_factory=ImagePolicy, exclude=True, repr=False)
    source_nodes: tuple[Any, ...] = Field(default=(), exclude=True, repr=False)

    @computed_field
    @property
    def reason(self) -> str:
        """The reranker's reason for the first result."""
        return self.results[0].reason if self.results else ""

    @computed_field
    @property
    def degraded(self) -> bool:
        """Whether the reranker failed, in part or completely."""
        return bool(self.failures)

    @classmethod
    def from_response(cls, response: Any) -> RankedImages:
        """Read the result out of a LlamaIndex response."""
        return cls.from_nodes(response.source_nodes)

    @classmethod
    def from_nodes(cls, nodes: Sequence[Any], **fields: Any) -> RankedImages:
        """Read the result out of LlamaIndex nodes with scores, best first.

        Parameters
        ----------
        nodes : sequence of NodeWithScore
            Retrieved, and perhaps reranked by `LLVMRerank`.
        **fields
            Further fields of the result.
        """
        reranked = nodes[0].node.metadata.get("llvm_rerank", {}) if nodes else {}
        known = {name: reranked[name] for name in ("caption", "repairs", "failures", "timings_ms") if name in reranked}
        known["stage"] = "reranked" if reranked.get("judged") else "retrieved"
        results = [RankedImage.from_node(n.node, rank=rank, score=n.score) for rank, n in enumerate(nodes, start=1)]
        return cls.model_validate({"results": results, "source_nodes": tuple(nodes), **known, **fields})

    @property
    def retrieved(self) -> tuple[RankedImage, ...]:
        """The results in retrieval order."""
        return tuple(sorted(self.results, key=lambda image: image.retrieval_rank))

    def subset(self, keep: Callable[[RankedImage], bool]) -> RankedImages:
        """Keep the results for which ``keep`` is true, ranked anew."""
        nodes = [node for node, image in zip(self.source_nodes, self.results, strict=True) if keep(image)]
        kept = RankedImages.from_nodes(nodes)
        return self.model_copy(update={"results": kept.results, "source_nodes": kept.source_nodes})

    def to_json(self) -> dict[str, Any]:
        """Return all but the images, for machines."""
        query = {"text": self.query.text, "image": self.query.image is not None} if self.query else None
        return {"query": query, **self.model_dump(mode="json")}

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: int) -> RankedImage:
        return self.results[index]

    def __str__(self) -> str:
        return "\n".join(map(_to_line, self.results)) or "No image found."

    def _repr_html_(self) -> str:
        tiles = "".join(_to_tile(image, self.policy) for image in self.results) or "No image found."
        notes = "".join(f"<p>{escape(note)}</p>" for note in (self.reason, *self.repairs) if note)
        return f'<div style="display: flex; flex-wrap: wrap; gap: 12px">{tiles}</div>{notes}'


def _to_line(image: RankedImage) -> str:
    line = f"{image.rank}. {image.title} ({image.display_path}), similarity {image.score:.3f}"
    return f"{line}: {image.reason}" if image.reason else line


def _to_tile(image: RankedImage, policy: ImagePolicy) -> str:
    before = "" if image.rank == image.retrieval_rank else f", was {image.retrieval_rank}"
    return (
        f'<figure style="width: {TILE}px; margin: 0" title="{escape(image.display_path)}">'
        f"{img_tag(thumbnail(image.path, TILE, policy), image.title)}"
        f"<figcaption><b>{image.rank}</b>{before} · {image.score:.3f}<br>{escape(image.title)}</figcaption></figure>"
    )
