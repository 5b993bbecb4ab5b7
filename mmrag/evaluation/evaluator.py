"""Evaluation of an index on a data set, with and without each half of the query and the reranker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

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
    evaluator = _Evaluator(searcher, gallery, max(*cutoffs, top), rerank)
    filters = {kind: gallery.filter(names) for kind, names in dataset.galleries.items()}
    runs: list[_QueryRun] = []
    skipped: dict[str, str] = {}
    for number, query in enumerate(dataset.queries, 1):
        try:
            runs.append(evaluator.run(query, filters.get(query.kind)))
        except ImageError as error:
            skipped[query.id] = str(error)
        if on_progress:
            on_progress(number, len(dataset.queries))
    if not runs:
        first = next(iter(skipped.values()))
        raise SettingError(f"no query's image can be read ({first}). Their folder: --images")
    results = _results(runs, dataset, cutoffs)
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


@dataclass
class _QueryRun:
    """A query, and the names it found by mode: in its gallery and in its subset."""

    query: EvalQuery
    rankings: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    subset_rankings: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    composed: RankedImages | None = None


@dataclass(frozen=True)
class _Evaluator:
    """Runs queries in every mode."""

    searcher: ImageSearcher
    gallery: Gallery
    depth: int
    rerank: bool

    def run(self, query: EvalQuery, within: Filter | None) -> _QueryRun:
        run = _QueryRun(query)
        members = [m for m in query.subset if m in self.gallery.images and m not in query.excluded]
        for mode, part in _modes(query).items():
            found = self._retrieve(query, part, within)
            run.rankings[mode] = self._names(query, found.results)
            if members:
                few = self._retrieve(query, part, self.gallery.filter(members))
                run.subset_rankings[mode] = self._names(query, few.results)
                if mode == COMPOSED and self.rerank:
                    run.subset_rankings[RERANKED] = self._rerank(query, few)[0]
            if mode == COMPOSED:
                run.composed = self._front(found)
                if self.rerank:
                    run.rankings[RERANKED], run.composed = self._rerank(query, found)
        return run

    def _retrieve(self, query: EvalQuery, part: Query, within: Filter | None) -> RankedImages:
        """Retrieve ``depth`` images besides the excluded ones."""
        found = self.searcher.retrieve(part, top=self.depth + len(query.excluded), filters=within)
        return found.subset(lambda image: self._counts(query, image))

    def _rerank(self, query: EvalQuery, found: RankedImages) -> tuple[list[str], RankedImages]:
        """Rerank the first ``top`` images; the others keep their order."""
        front = self._front(found)
        reranked = self.searcher.rerank(front) if front.results else front
        tail = found.results[len(front.results) :]
        return self._names(query, (*reranked.results, *tail)), reranked

    def _front(self, found: RankedImages) -> RankedImages:
        return found.subset(lambda image: image.rank <= self.searcher.settings.top)

    def _counts(self, query: EvalQuery, image: RankedImage) -> bool:
        names = set(self._names_of(image))
        return bool(names & query.grades.keys()) or not names & query.excluded

    def _names(self, query: EvalQuery, images: Sequence[RankedImage]) -> list[str]:
        names_of = map(self._names_of, images[: self.depth])
        # An image that several files hold is relevant if one of its names is.
        return [next((name for name in names if name in query.grades), names[0]) for names in names_of]

    def _names_of(self, image: RankedImage) -> list[str]:
        return self.gallery.names(image.metadata) or [image.path]


def _modes(query: EvalQuery) -> dict[str, Query]:
    modes: dict[str, Query] = {}
    if query.text:
        modes[TEXT_ONLY] = Query(query.text)
    if query.image:
        modes[IMAGE_ONLY] = Query(image=query.image)
    return {**modes, COMPOSED: Query(query.text, query.image)}


def _results(runs: Sequence[_QueryRun], dataset: EvalDataset, cutoffs: Iterable[int]) -> list[QueryResult]:
    modes = [TEXT_ONLY, IMAGE_ONLY, COMPOSED]
    if any(RERANKED in run.rankings for run in runs):
        modes.append(RERANKED)
    metrics = {mode: _metrics(runs, dataset, cutoffs, mode) for mode in modes}
    return [_result(run, {mode: metrics[mode][run.query.id] for mode in modes}) for run in runs]


def _metrics(
    runs: Sequence[_QueryRun], dataset: EvalDataset, cutoffs: Iterable[int], mode: str
) -> dict[str, dict[str, float]]:
    """Compute the metrics of one mode by query."""
    qrels = {run.query.id: run.query.grades for run in runs}
    levels = {"relevant": dataset.relevant, "exact": dataset.exact}
    metrics = compute_metrics({run.query.id: run.rankings.get(mode, []) for run in runs}, qrels, cutoffs, **levels)
    if dataset.subset_cutoffs:
        rankings = {run.query.id: run.subset_rankings.get(mode, []) for run in runs}
        for query, values in compute_metrics(rankings, qrels, dataset.subset_cutoffs, **levels).items():
            metrics[query] |= {f"subset recall@{k}": values[f"recall@{k}"] for k in dataset.subset_cutoffs}
    return metrics


def _result(run: _QueryRun, metrics: dict[str, dict[str, float]]) -> QueryResult:
    query, found = run.query, run.composed
    assert found is not None  # every query runs composed
    return QueryResult(
        id=query.id,
        kind=query.kind,
        text=query.text,
        image=str(query.image) if query.image else None,
        grades=dict(query.grades),
        rankings=run.rankings,
        similarities=[round(image.score, 6) for image in found.retrieved],
        metrics=metrics,
        timings_ms=dict(found.timings_ms),
        calls=len(found.calls),
        malformed=sum(bool(call.ranking.repairs) for call in found.calls),
        failed=len(found.failures),
        repairs=list(found.repairs),
        reason=found.reason,
    )
