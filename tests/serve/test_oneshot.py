"""Work that is one call of the engine: who shares a call, and for whom a call waits."""

import asyncio
import threading
from collections.abc import Hashable, Sequence
from typing import Any

import pytest

from deployer.serve import gathering
from deployer.serve.metrics import Metrics
from deployer.serve.oneshot import Batches, Job, Task


class Engine:
    """Doubles numbers; the first call waits until it is let go."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.reached, self.go = threading.Event(), threading.Event()

    def run(self, payloads: list[Any], _key: Hashable) -> Sequence[Any]:
        self.calls.append(len(payloads))
        self.reached.set()
        assert self.go.wait(20)
        return [2 * number for number in payloads]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def batches(engine: Engine) -> Batches:
    def broken(error: BaseException) -> None:
        raise error

    return Batches(engine.run, Metrics("m"), max_batch_size=8, max_wait_ms=60_000, max_queue=8, threads=1, on_broken=broken)


def job(*numbers: int) -> Job:
    return Job([Task(number, 1) for number in numbers])


def test_who_comes_alone_waits_for_nobody(engine: Engine, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "GAP_S", 60)
    engine.go.set()

    async def ask() -> list[Any]:
        one = job(21)
        batches.submit(one)
        return await asyncio.wait_for(one.answer, 20)

    assert asyncio.run(ask()) == [42]
    assert engine.calls == [1]


def test_those_who_came_during_a_call_share_the_next(engine: Engine, batches: Batches) -> None:
    async def ask() -> list[list[Any]]:
        jobs = [job(1), job(2), job(3, 4)]
        batches.submit(jobs[0])
        await asyncio.get_running_loop().run_in_executor(None, engine.reached.wait, 20)
        for later in jobs[1:]:
            batches.submit(later)
        engine.go.set()
        return [await asyncio.wait_for(each.answer, 20) for each in jobs]

    assert asyncio.run(ask()) == [[2], [4], [6, 8]]
    assert engine.calls == [1, 3]
