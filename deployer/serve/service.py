"""One served model: from a job to its events, and what the server may say about itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from deployer.serve.batching import Batcher, Generator
from deployer.serve.config import Config
from deployer.serve.errors import ApiError
from deployer.serve.metrics import Metrics
from deployer.serve.model import Model
from deployer.serve.request import Job
from deployer.serve.row import Event, Row
from deployer.serve.stream import Detokenizer


class Service:
    """States: loading → ready → draining. `busy` counts requests that were let in and whose answer is not complete."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.metrics = Metrics(config.model_names[0])
        self.state = "loading"
        self.busy = 0
        self.model: Model | None = None
        self.compute_type = config.compute_type  # once started: what the engine really computes in
        self._batcher: Batcher | None = None

    def start(self, model: Model, generator: Generator, on_broken: Callable[[BaseException], None]) -> None:
        """The model is loaded: requests may come."""
        config = self.config
        self.compute_type = str(getattr(generator, "compute_type", config.compute_type))
        self.metrics.info = {"kind": config.kind, "compute_type": self.compute_type, "device": config.device}
        self._batcher = Batcher(
            generator,
            self.metrics,
            eos=tuple(sorted(model.eos)),
            vocabulary=len(model.vocabulary),
            max_batch_size=config.max_batch_size,
            max_wait_ms=config.max_wait_ms,
            max_queue=config.max_queue,
            threads=config.inter_threads * len(config.device_index),
            on_broken=on_broken,
        )
        self.model = model
        if self.state == "loading":
            self.state = "ready"

    def admit(self) -> Model:
        """Raises ApiError 503 while the model loads or the server drains."""
        if self.state != "ready" or self.model is None:
            self.metrics.count("admission_rejections", label=self.state)
            raise ApiError(503, f"The server is {self.state}.", kind="service_unavailable", code=self.state, retry_after_s=1)
        return self.model

    def submit(self, job: Job) -> Ticket:
        """Raises ApiError 429 when too many wait."""
        if self.model is None or self._batcher is None:
            raise RuntimeError("submit before start")
        model, ticket = self.model, Ticket()
        ticket.row = Row(
            [model.vocabulary[number] for number in job.prompt],
            job.params,
            job.limit,
            model.eos,
            Detokenizer(model.decode, model.special),
            self.metrics,
            ticket.put,
        )
        self._batcher.submit(ticket.row)
        return ticket

    def abort(self, message: str) -> None:
        if self._batcher is not None:
            self._batcher.abort(message)

    def gauges(self) -> dict[str, float]:
        batcher = self._batcher
        waiting, running = (batcher.waiting, batcher.running) if batcher else (0, 0)
        return {"num_requests_running": running, "num_requests_waiting": waiting}


class Ticket:
    """The client's side of a row: its events, in the event loop."""

    row: Row

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, event: Event) -> None:
        """From any thread. After the loop has ended nobody listens any more."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def next(self) -> Event:
        return await self._events.get()
