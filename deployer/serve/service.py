"""One served model: from a job to its events, and what the server may say about itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from deployer.serve.admission import Admission
from deployer.serve.batching import Batcher, Generator
from deployer.serve.config import Config
from deployer.serve.errors import ApiError
from deployer.serve.model import Model
from deployer.serve.request import Job
from deployer.serve.row import Event, Row
from deployer.serve.scoring import Scores, Scoring
from deployer.serve.stream import Detokenizer


class Service(Admission[Model]):
    """Of a model that makes text."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._batcher: Batcher | None = None

    def start(self, model: Model, generator: Generator, on_broken: Callable[[BaseException], None]) -> None:
        """The model is loaded: requests may come."""
        config = self.config
        self._batcher = Batcher(
            generator,
            self.metrics,
            eos=tuple(sorted(model.eos)),
            vocabulary=model.vocabulary,
            max_batch_size=config.max_batch_size,
            max_wait_ms=config.max_wait_ms,
            max_queue=config.max_queue,
            threads=config.inter_threads * len(config.device_index),
            on_broken=on_broken,
        )
        self.open(model, self._batcher, str(getattr(generator, "compute_type", config.compute_type)))

    def submit(self, job: Job) -> Ticket:
        """Raises ApiError 429 when too many wait."""
        if self.model is None or self._batcher is None:
            raise RuntimeError("submit before start")
        ticket = Ticket()
        ticket.rows = [self._row(self.model, job, *choice, ticket.emitter(at)) for at, choice in enumerate(job.choices)]
        waiting = [row for row in ticket.rows if row.limit]
        for row in ticket.rows:
            if not row.limit:  # nothing is asked for but the prompt itself
                row.finish("length")
        if waiting:
            self._batcher.submit(waiting)
            if self.config.deadline_s:
                ticket.expire_after(self.config.deadline_s)
        return ticket

    def _row(self, model: Model, job: Job, prompt: Any, limit: int, emit: Callable[[Event], None]) -> Row:
        text = Detokenizer(*((model.decode_all, frozenset[int]()) if job.output.special else (model.decode, model.special)))
        tokens = [model.vocabulary[number] for number in prompt.ids]
        return Row(tokens, job.params, limit, model.eos, text, self.metrics, emit)

    async def scores(self, job: Job, rows: Sequence[Row]) -> list[Scores]:
        """How likely every token of prompt and answer is, for each answer."""
        assert self._batcher is not None
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Scores]] = [loop.create_future() for _ in rows]
        texts = [prompt.ids + row.said for (prompt, _), row in zip(job.choices, rows)]  # noqa: B905  Python 3.9
        asked = [Scoring(ids, job.output.top or 0, _setter(loop, future)) for ids, future in zip(texts, futures)]  # noqa: B905
        try:
            self._batcher.submit(asked)
            return list(await asyncio.gather(*futures))
        finally:
            for scoring in asked:
                scoring.cancel()


def _setter(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Scores]) -> Callable[[Scores | str], None]:
    def put(result: Scores | str) -> None:
        if future.done():
            return
        if isinstance(result, str):
            future.set_exception(ApiError(500, result, kind="server_error", code="engine_error"))
        else:
            future.set_result(result)

    def call(result: Scores | str) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(put, result)

    return call


class Ticket:
    """The client's side of its rows: their events, in the event loop, each with the index of its row."""

    rows: list[Row]

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[tuple[int, str, str]] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None

    def emitter(self, index: int) -> Callable[[Event], None]:
        """Takes events from any thread. After the loop has ended nobody listens any more."""

        def put(event: Event) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._events.put_nowait, (index, *event))

        return put

    async def next(self) -> tuple[int, str, str]:
        return await self._events.get()

    @property
    def tokens(self) -> int:
        return sum(row.tokens for row in self.rows)

    def expire_after(self, seconds: float) -> None:
        def expire() -> None:
            for row in self.rows:
                row.fail(f"The answer took longer than {seconds:g} s.", "deadline")

        self._timer = self._loop.call_later(seconds, expire)

    def close(self) -> None:
        """Nobody wants the rest: rows that still run end at their next token."""
        if self._timer is not None:
            self._timer.cancel()
        for row in self.rows:
            row.cancel()
