"""Work that is one call of the engine from its beginning to its end: an embedding, a translation, a piece of speech.

Requests wait in one bounded queue and are cut into tasks; threads take tasks that may share a call, of like size so that little
is spent on padding. What a client that went away still had waiting is never computed.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from typing import Any

from deployer.serve.errors import ApiError
from deployer.serve.gathering import Gathering
from deployer.serve.metrics import Metrics

STRIKES = 3  # calls that fail one after another: the engine is broken, and a new process is the remedy
LOOK = 4096  # tasks behind the oldest that are looked at for company


class Task:
    """One thing to compute. Only tasks with equal `key` share a call; `size` is what padding is made for."""

    __slots__ = ("job", "key", "number", "payload", "size")

    def __init__(self, payload: Any, size: int, key: Hashable = None) -> None:
        self.payload, self.size, self.key = payload, size, key
        self.job: Job
        self.number = 0


class Job:
    """The tasks of one request. `answer` is awaited in the event loop that made it."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tasks
        self.results: list[Any] = [None] * len(tasks)
        self.missing = len(tasks)
        self.arrived = time.monotonic()
        self.started: float | None = None
        self.ended = False
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[list[Any]] = self._loop.create_future()
        for number, task in enumerate(tasks):
            task.job, task.number = self, number

    def done(self, task: Task, result: Any) -> bool:
        """From a batch thread. True: it was the last one."""
        with self._lock:
            self.results[task.number] = result
            self.missing -= 1
            last = self.missing == 0 and not self.ended
            self.ended = self.ended or last
        if last:
            self._tell(lambda: self._settle(None))
        return last

    def fail(self, error: ApiError) -> None:
        with self._lock:
            if self.ended:
                return
            self.ended = True
        self._tell(lambda: self._settle(error))

    def cancel(self) -> None:
        """The client went away; from the event loop."""
        with self._lock:
            self.ended = True
        self.answer.cancel()

    def _settle(self, error: ApiError | None) -> None:
        if self.answer.done():  # cancelled meanwhile
            return
        if error is None:
            self.answer.set_result(self.results)
        else:
            self.answer.set_exception(error)

    def _tell(self, act: Callable[[], Any]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(act)


class Batches:
    """`run` computes a list of payloads with one key and gives as many results; it may raise ApiError for all of them."""

    def __init__(
        self,
        run: Callable[[list[Any], Hashable], Sequence[Any]],
        metrics: Metrics,
        *,
        max_batch_size: int,
        max_wait_ms: float,
        max_queue: int,
        threads: int,
        on_broken: Callable[[BaseException], None],
    ) -> None:
        self._engine, self._metrics, self._on_broken = run, metrics, on_broken
        self._size, self._limit = max_batch_size, max_queue
        self._changed = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._computing = 0  # tasks in calls of the engine
        self._jobs: set[Job] = set()  # that are not answered yet
        self._gathering = Gathering(
            self._changed,
            size=max_batch_size,
            longest_s=max_wait_ms / 1000,
            waiting=lambda: len(self._tasks),
            present=lambda: len(self._tasks) + self._computing,
            closed=lambda: self._closed,
        )
        self._strikes = 0
        self._closed = False
        for number in range(threads):
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True).start()

    @property
    def waiting(self) -> int:
        with self._changed:
            return sum(1 for job in self._jobs if job.started is None and not job.ended)

    @property
    def running(self) -> int:
        with self._changed:
            return sum(1 for job in self._jobs if job.started is not None and not job.ended)

    def submit(self, job: Job) -> None:
        """Raises ApiError 429 when as many requests wait as may, 503 when nothing is taken any more."""
        with self._changed:
            if self._closed:
                raise ApiError(503, "The server is shutting down.", kind="service_unavailable", code="draining", retry_after_s=1)
            self._jobs = {known for known in self._jobs if not known.ended}
            if sum(1 for known in self._jobs if known.started is None) >= self._limit:
                self._metrics.count("admission_rejections", label="queue_full")
                message = f"The queue is full: {self._limit} requests wait already. Try again later."
                raise ApiError(429, message, kind="rate_limit_error", code="queue_full", retry_after_s=1)
            self._jobs.add(job)
            self._tasks.extend(job.tasks)
            self._gathering.came()
            self._changed.notify()

    def abort(self, message: str) -> None:
        """Ends all that waits or runs, with an error for its client."""
        with self._changed:
            self._closed = True
            jobs = list(self._jobs)
            self._tasks.clear()
            self._changed.notify_all()
        for job in jobs:
            job.fail(_engine_error(message))

    def _work(self) -> None:
        while not self._closed:
            tasks = self._take()
            if not tasks:
                continue
            try:
                results = self._engine([task.payload for task in tasks], tasks[0].key)
            except ApiError as error:
                self._failed(tasks, error)
            except Exception as error:  # noqa: BLE001  whatever the engine raises ends these requests, not the server
                self._failed(tasks, _engine_error(f"The engine failed: {error}"))
                self._strikes += 1
                if self._strikes == STRIKES:
                    self._on_broken(error)
            else:
                self._strikes = 0
                for task, result in zip(tasks, results):  # noqa: B905  the engine gives one for each
                    if task.job.done(task, result):
                        self._count(task.job, "stop")
            finally:
                with self._changed:
                    self._computing -= len(tasks)

    def _failed(self, tasks: Sequence[Task], error: ApiError) -> None:
        for job in {task.job for task in tasks}:
            job.fail(error)
            self._count(job, "error")

    def _count(self, job: Job, reason: str) -> None:
        self._metrics.count("request_success", label=reason)
        self._metrics.observe("e2e_request_latency_seconds", time.monotonic() - job.arrived)
        if job.started is not None:
            self._metrics.observe("request_queue_time_seconds", job.started - job.arrived)

    def _take(self) -> list[Task]:
        with self._changed:
            while not self._tasks and not self._closed:
                self._changed.wait()
            self._gathering.wait()
            taken = self._alike()
            self._computing += len(taken)
            return taken

    def _alike(self) -> list[Task]:
        """The oldest task, and those nearest to it in size that may share its call."""
        while self._tasks and self._tasks[0].job.ended:
            self._tasks.popleft()
        if not self._tasks:
            return []
        first = self._tasks[0]
        near = [task for task in islice(self._tasks, LOOK) if task.key == first.key and not task.job.ended]
        taken = heapq.nsmallest(self._size, near, key=lambda task: abs(task.size - first.size))
        chosen = set(map(id, taken))
        self._tasks = deque(task for task in self._tasks if id(task) not in chosen)
        now = time.monotonic()
        for task in taken:
            if task.job.started is None:
                task.job.started = now
            self._metrics.count("prompt_tokens", task.size)
        self._metrics.count("batches")
        return taken


def _engine_error(message: str) -> ApiError:
    return ApiError(500, message, kind="server_error", code="engine_error")
