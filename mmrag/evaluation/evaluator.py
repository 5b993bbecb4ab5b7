"""Evaluation of an index on a data set, with and without each half of the query and the reranker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mmrag.errors import ImageError, SettingError
from mmrag.evaluation.dataset import EvalDataset, EvalQuery
from mmrag.evaluation.evaluation import Evaluation
from mmrag.evaluation.gallery import Gallery, load_gallery
from mmrag.evaluation.metrics import compute_metrics
from mmrag.evaluation.result import COMPOSED, IMAGE_ONLY, RERANKED, TEXT_ONLY, QueryResult
from mmrag.filters import Filter
from mmrag.query import Query
from mmrag.results import RankedImage, RankedImages
from mmrag.search import ImageSearcher

__all__ = ["evaluate"]


def evaluate(
    searcher: ImageSearcher,
    dataset: EvalDataset,
    *,
    rerank: bool = True,
    item: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run each query composed, by its text only and by its image only; rerank; compute the metrics.

    All modes are averaged over the same queries: a query without text finds nothing in the mode "text only", and one
    without image nothing in the mode "image only".

    Parameters
    ----------
    searcher : ImageSearcher
        An open index; ``settings.top`` is the number of images that are reranked.
    dataset : EvalDataset
        From `read_dataset`, or made by hand.
    rerank : bool, optional
        Also rerank composed queries. Default: True.
    item : str, optional
        Metadata field by which the grades identify an image. Default: file name without extension.
    on_progress : callable, optional
        Called with the number of finished queries, and of all queries.

    Raises
    ------
    SettingError
        If no query's image can be read, or graded names are ambiguous or not in the index.

    Examples
    --------
    >>> with ImageSearcher(read_settings(db="shop.db", model="demo")) as searcher:  # doctest: +SKIP
    ...     evaluation = evaluate(searcher, read_dataset(["queries"]), rerank=False)
    >>> print(evaluation.score("hit@1"))  # doctest: +SKIP
    0.764 (0.731–0.795)
    """
    top = searcher.settings.top
    cutoffs = dataset.cutoffs or tuple(dict.fromkeys((1, top)))
    gallery = load_gallery(searcher.index, item)
    relevant = {name for query in dataset.queries for name in query.grades}
    gallery.validate(relevant)
    if rerank:
        _ = searcher.reranker  # a missing model fails now, not after the first query
    filters = {kind: gallery.filter(names) for kind, names in dataset.galleries.items()}
    evaluator = _Evaluator(searcher, gallery, dataset, filters, cutoffs, depth=max(*cutoffs, top), rerank=rerank)
    results: list[QueryResult] = []
    skipped: dict[str, str] = {}
    for number, query in enumerate(dataset.queries, 1):
        try:
            results.append(evaluator.run(query))
        except ImageError as error:
            skipped[query.id] = str(error)
        if on_progress:
            on_progress(number, len(dataset.queries))
    if not results:
        first = next(iter(skipped.values()))
        raise SettingError(f"no query's image can be read ({first}). Their folder: --images")
    used = {name for result in results for names in (*result.rankings.values(), result.grades) for name in names}
    return Evaluation(
        dataset=dataset.name,
        num_images=gallery.size,
        model=searcher.encoder.info.name,
        reranker=searcher.settings.reranker if rerank else None,
        depth=evaluator.depth,
        top=top,
        results=results,
        images={name: info for name, info in gallery.images.items() if name in used},
        missing=sorted(relevant - gallery.images.keys()),
        skipped=skipped,
    )


@dataclass(frozen=True)
class _Evaluator:
    """Runs queries in every mode; ``filters`` select the gallery by kind of query."""

    searcher: ImageSearcher
    gallery: Gallery
    dataset: EvalDataset
    filters: Mapping[str, Filter | None]
    cutoffs: Sequence[int]
    depth: int
    rerank: bool

    def run(self, query: EvalQuery) -> QueryResult:
        rankings, found = self._rank(query, self.filters.get(query.kind))
        metrics = self._measure(query, rankings, self.cutoffs)
        if cutoffs := self.dataset.subset_cutoffs:
            members = [m for m in query.subset if m in self.gallery.images and m not in query.excluded]
            few = self._rank(query, self.gallery.filter(members))[0] if members else {}
            for mode, values in self._measure(query, few, cutoffs).items():
                metrics[mode] |= {f"subset recall@{k}": values[f"recall@{k}"] for k in cutoffs}
        return QueryResult(
            id=query.id,
            kind=query.kind,
            text=query.text,
            image=str(query.image) if query.image else None,
            grades=dict(query.grades),
            rankings=rankings,
            similarities=[round(image.score, 6) for image in found.retrieved],
            metrics=metrics,
            timings_ms=dict(found.timings_ms),
            calls=len(found.calls),
            malformed=sum(bool(call.ranking.repairs) for call in found.calls),
            failed=len(found.failures),
            repairs=list(found.repairs),
            reason=found.reason,
        )

    def _rank(self, query: EvalQuery, within: Filter | None) -> tuple[dict[str, list[str]], RankedImages]:
        """Return the names found by mode, and the first ``top`` images of the composed query, the final ones."""
        halves = {TEXT_ONLY: (query.text, None), IMAGE_ONLY: ("", query.image)}
        parts = {mode: Query(*half) for mode, half in halves.items() if any(half)}
        parts[COMPOSED] = Query(query.text, query.image)
        found = {mode: self._retrieve(query, part, within) for mode, part in parts.items()}
        rankings = {mode: self._names(query, each.results) for mode, each in found.items()}
        front = found[COMPOSED].subset(lambda image: image.rank <= self.searcher.settings.top)
        if self.rerank:
            tail = found[COMPOSED].results[len(front.results) :]  # keeps its order
            front = self.searcher.rerank(front) if front.results else front
            rankings[RERANKED] = self._names(query, (*front.results, *tail))
        return rankings, front

    def _retrieve(self, query: EvalQuery, part: Query, within: Filter | None) -> RankedImages:
        """Retrieve ``depth`` images besides the excluded ones."""

        def counts(image: RankedImage) -> bool:
            names = set(self._names_of(image))
            return bool(names & query.grades.keys()) or not names & query.excluded

        return self.searcher.retrieve(part, top=self.depth + len(query.excluded), filters=within).subset(counts)

    def _names(self, query: EvalQuery, images: Sequence[RankedImage]) -> list[str]:
        names_of = map(self._names_of, images[: self.depth])
        # An image that several files hold is relevant if one of its names is.
        return [next((name for name in names if name in query.grades), names[0]) for names in names_of]

    def _names_of(self, image: RankedImage) -> list[str]:
        return self.gallery.names(image.metadata) or [image.path]

    def _measure(
        self, query: EvalQuery, rankings: Mapping[str, Sequence[str]], cutoffs: Sequence[int]
    ) -> dict[str, dict[str, float]]:
        """Compute the metrics by mode; a mode without a ranking scores 0."""
        modes = (TEXT_ONLY, IMAGE_ONLY, COMPOSED, *([RERANKED] if self.rerank else []))
        levels = {"relevant": self.dataset.relevant, "exact": self.dataset.exact}
        return compute_metrics(rankings, dict.fromkeys(modes, query.grades), cutoffs, **levels)
