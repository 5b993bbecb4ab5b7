"""Prometheus metrics of a server: requests, stage latencies, rerankings and queues."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmrag.results import RankedImages
from mmrag.serving.work_queue import WorkQueue

__all__ = ["Metrics", "MetricsMiddleware"]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # seconds
RETRIEVAL_STAGES = frozenset({"encode", "search"})


class Metrics:
    """Counters of one server, and the load of its queues."""

    def __init__(self, queues: Sequence[WorkQueue]) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("mmrag_requests", "Requests.", ["route", "status"], registry=registry)
        self._stages = Histogram(
            "mmrag_stage_seconds", "Time of each stage of a search.", ["stage"], registry=registry, buckets=BUCKETS
        )
        self._rerankings = Counter("mmrag_rerankings", "Rerankings.", registry=registry)
        self._repaired = Counter("mmrag_repaired_rerankings", "Rerankings that were repaired.", registry=registry)
        in_flight = Gauge("mmrag_in_flight", "Calls that wait or run.", ["queue"], registry=registry)
        for queue in queues:
            in_flight.labels(queue.name).set_function(lambda queue=queue: queue.in_flight)

    def record_retrieval(self, found: RankedImages) -> None:
        """Record the latencies of a retrieval."""
        self._record_stages(found, RETRIEVAL_STAGES)

    def record_reranking(self, found: RankedImages) -> None:
        """Record a reranking with its latencies, and whether it was repaired."""
        self._record_stages(found, found.timings_ms.keys() - RETRIEVAL_STAGES)
        self._rerankings.inc()
        if found.stage == "reranked" and found.repairs:
            self._repaired.inc()

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    def _record_stages(self, found: RankedImages, stages: frozenset[str] | set[str]) -> None:
        for stage in stages & found.timings_ms.keys():
            self._stages.labels(stage).observe(found.timings_ms[stage] / 1000)


class MetricsMiddleware:
    """ASGI middleware that counts requests by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        status = 500

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_record)
        finally:
            route = getattr(scope.get("route"), "path", "(none)")  # the pattern, as a path may be made up
            self._metrics.requests.labels(route, str(status)).inc()
