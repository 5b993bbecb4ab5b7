"""The work queue: first come first served, bounded, and a call counts until its function returns."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mmrag.errors import BusyError
from mmrag.serving.work_queue import WorkQueue


def test_a_call_that_timed_out_is_in_flight_until_it_returns():
    gate, queue = threading.Event(), WorkQueue("model", capacity=1)

    async def run_calls():
        with pytest.raises(TimeoutError):
            await queue.run(gate.wait, 0.01)
        assert queue.in_flight == 1
        with pytest.raises(BusyError, match="1 of 1"):
            await queue.run(int, 1)
        gate.set()
        while queue.in_flight:
            await asyncio.sleep(0.01)
        assert await queue.run(lambda: 7, 30) == 7

    asyncio.run(run_calls())


def test_a_cancelled_call_that_waits_never_runs():
    gate, queue, done = threading.Event(), WorkQueue("model", capacity=2), []

    async def run_calls():
        first = asyncio.create_task(queue.run(gate.wait, 30))
        second = asyncio.create_task(queue.run(lambda: done.append("second"), 30))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert queue.in_flight == 1
        gate.set()
        await first

    asyncio.run(run_calls())
    queue.close()
    assert done == []


def test_calls_run_one_at_a_time_in_the_order_of_arrival():
    queue, order, running = WorkQueue("model", capacity=20), [], []

    def work(number):
        running.append(number)
        assert len(running) == 1
        order.append(number)
        running.remove(number)

    async def run_calls():
        await asyncio.gather(*(queue.run(lambda n=n: work(n), 30) for n in range(20)))

    asyncio.run(run_calls())
    assert order == list(range(20))


def test_a_call_that_raises_is_no_longer_in_flight():
    queue = WorkQueue("model", capacity=1)

    async def run_calls():
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await queue.run(lambda: 1 // 0, 30)
            await asyncio.sleep(0.01)

    asyncio.run(run_calls())
