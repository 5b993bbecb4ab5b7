"""What a server has done, for Prometheus. In: requests, stages, repairs. Out: its text format."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmrag.results import RankedImages
from mmrag.serving.work_queue import Line

__all__ = ["Counted", "Metrics"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts of one server; `Line` by `Line`, how many wait."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("mmrag_requests", "Requests.", ["route", "status"], registry=self._registry)
        self._stages = Histogram(
            "mmrag_stage_seconds",
            "Time of each stage of a search.",
            ["stage"],
            registry=self._registry,
            buckets=SECONDS,
        )
        self._rankings = Counter("mmrag_rankings", "Rerankings.", registry=self._registry)
        self._repaired = Counter("mmrag_repaired_rankings", "Rerankings that were mended.", registry=self._registry)
        waiting = Gauge("mmrag_waiting", "Waiting or being served.", ["line"], registry=self._registry)
        for line in lines:
            waiting.labels(line.name).set_function(lambda line=line: line.taken)

    def request(self, route: str, status: int) -> None:
        """Count a request; ``route`` is the pattern of its path, of which there are few."""
        self._requests.labels(route, str(status)).inc()

    def retrieved(self, found: RankedImages) -> None:
        """Count a retrieval, by the time of its stages."""
        self._time(found, {"encode", "search"})

    def reranked(self, found: RankedImages) -> None:
        """Count a reranking, and whether it was mended."""
        self._time(found, set(found.timings_ms) - {"encode", "search"})
        self._rankings.inc()
        if found.stage == "reranked" and found.repairs:
            self._repaired.inc()

    def text(self) -> bytes:
        """Write all of it as Prometheus reads it."""
        return generate_latest(self._registry)

    def _time(self, found: RankedImages, stages: set[str]) -> None:
        for stage in stages & set(found.timings_ms):
            self._stages.labels(stage).observe(found.timings_ms[stage] / 1000)


class Counted:
    """ASGI middleware that counts requests, by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        status = 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            route = scope.get("route")
            self._metrics.request(getattr(route, "path", "(none)"), status)
