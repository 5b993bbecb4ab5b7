"""Bounded queue of calls in front of a few threads, so that many requests share one model."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from mmrag.errors import BusyError

__all__ = ["WorkQueue"]

T = TypeVar("T")


class WorkQueue:
    """Runs functions in threads, first come first served; calls beyond the capacity are refused.

    The capacity is that of calls in flight, waiting ones included; a model takes one thread.
    """

    def __init__(self, name: str, capacity: int, threads: int = 1) -> None:
        self.name, self.capacity = name, capacity
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._futures: set[Future[Any]] = set()
        self._last_duration = 1.0  # seconds

    @property
    def in_flight(self) -> int:
        """Number of calls that wait or run."""
        return len(self._futures)

    async def run(self, function: Callable[[], T], timeout: float) -> T:
        """Run a function in a thread and return its result; BusyError if the queue is full.

        After ``timeout`` seconds, waiting included, TimeoutError is raised; the call stays in flight until it returns.
        """
        if self.in_flight >= self.capacity:
            raise BusyError(
                f"the {self.name} is busy ({self.in_flight} of {self.capacity} requests in flight): "
                "try again in a moment",
                retry_after=max(1, math.ceil(self._last_duration * self.in_flight)),
            )
        future = self._executor.submit(self._timed, function)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        async with asyncio.timeout(timeout):
            return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Cancel the calls that have not started."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _timed(self, function: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return function()
        finally:
            self._last_duration = time.perf_counter() - start
