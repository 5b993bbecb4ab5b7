"""Many visitors, one model. In: work, in the order in which it comes. Out: its result, in time.

Whoever comes when all places are taken is told when to come again, and costs nothing.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from mmrag.errors import BusyError

__all__ = ["Line"]

T = TypeVar("T")


class Line:
    """A bounded queue in front of a few threads.

    Parameters
    ----------
    name
        What is waited for, in messages and metrics.
    places
        How many may be inside at once: those waiting and those being served.
    threads
        How many are served at once; one, for a model.
    """

    def __init__(self, name: str, places: int, threads: int = 1) -> None:
        self.name, self.places = name, places
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._inside: set[Future[Any]] = set()
        self._seconds = 1.0  # that the latest work took

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return len(self._inside)

    async def run(self, work: Callable[[], T], within: float) -> T:
        """Do work in a thread once its turn comes.

        A place is free again when its work is over: work that has begun runs to its end, even when
        nobody waits for it any more.

        Raises
        ------
        BusyError
            When no place is free.
        TimeoutError
            When there is no result ``within`` so many seconds.
        """
        if self.taken >= self.places:
            raise BusyError(
                f"the {self.name} is busy, and all places of those who wait for it are taken "
                f"({self.places}): try again in a moment",
                retry_after=max(1, math.ceil(self._seconds * self.taken)),
            )
        future = self._threads.submit(self._timed, work)
        self._inside.add(future)
        future.add_done_callback(self._inside.discard)
        async with asyncio.timeout(within):
            return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Send everybody away who is not being served yet."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _timed(self, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return work()
        finally:
            self._seconds = time.perf_counter() - start
