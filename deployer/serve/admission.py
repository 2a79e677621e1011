"""What the services of all kinds of models share: whether a request is let in, and what waits and runs."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from deployer.serve.config import Config
from deployer.serve.errors import ApiError
from deployer.serve.metrics import Metrics

M = TypeVar("M")


class Queue(Protocol):
    """Those who wait for the engine, and those whom it answers."""

    @property
    def waiting(self) -> int: ...

    @property
    def running(self) -> int: ...

    def abort(self, message: str) -> None: ...


class Admission(Generic[M]):
    """States: loading → ready → draining. `busy` counts requests that were let in and whose answer is not complete."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.metrics = Metrics(config.model_names[0])
        self.state = "loading"
        self.busy = 0
        self.model: M | None = None
        self.compute_type = config.compute_type  # once open: what the engine really computes in
        self._queue: Queue | None = None

    def open(self, model: M, queue: Queue, compute_type: str) -> None:
        """The model is loaded: requests may come."""
        self.compute_type = compute_type
        self.metrics.info = {"kind": self.config.kind, "compute_type": compute_type, "device": self.config.device}
        self.model, self._queue = model, queue
        if self.state == "loading":
            self.state = "ready"

    def admit(self) -> M:
        """Raises ApiError 503 while the model loads or the server drains."""
        if self.state != "ready" or self.model is None:
            self.metrics.count("admission_rejections", label=self.state)
            raise ApiError(503, f"The server is {self.state}.", kind="service_unavailable", code=self.state, retry_after_s=1)
        return self.model

    def abort(self, message: str) -> None:
        """Whatever waits or runs ends, with an error for its client."""
        if self._queue is not None:
            self._queue.abort(message)

    def gauges(self) -> dict[str, float]:
        queue = self._queue
        waiting, running = (queue.waiting, queue.running) if queue else (0, 0)
        return {"num_requests_running": running, "num_requests_waiting": waiting}
