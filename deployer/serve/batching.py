"""Requests wait in one bounded queue; threads take those that may share a batch and run them together.

The engine has no continuous batching: a batch runs until its last row ends, or until it is stopped for the sake of those who
wait (`rebatch`). Rows end one by one (limit, end token, stop text, a client that went away) and then cost nothing more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from deployer.serve.errors import ApiError
from deployer.serve.gathering import Gathering
from deployer.serve.metrics import Metrics
from deployer.serve.rebatch import Going, Pace, worth
from deployer.serve.row import Row
from deployer.serve.sampling import engine_options, may_restart
from deployer.serve.scoring import Forward, Scoring, score
from deployer.serve.sharing import first_batch, together

STRIKES = 3  # batches that fail one after another: the engine is broken, and a new process is the remedy


class Generator(Forward, Protocol):
    """The part of `ctranslate2.Generator` that is used."""

    def generate_batch(self, start_tokens: list[list[str]], **options: Any) -> Any: ...


class Batcher:
    """`submit` from any thread; `on_broken` is called once when the engine keeps failing."""

    def __init__(
        self,
        generator: Generator,
        metrics: Metrics,
        *,
        eos: tuple[int, ...],
        vocabulary: Sequence[str],
        max_batch_size: int,
        max_wait_ms: float,
        max_queue: int,
        threads: int,
        on_broken: Callable[[BaseException], None],
    ) -> None:
        self._generator, self._metrics = generator, metrics
        self._eos, self._vocabulary = eos, vocabulary
        self._size, self._limit = max_batch_size, max_queue
        self._on_broken = on_broken
        self._changed = threading.Condition()
        self._waiting: deque[Row | Scoring] = deque()
        self._running: list[Row | Scoring] = []
        self._idle = threads
        self._gathering = Gathering(
            self._changed,
            size=max_batch_size,
            longest_s=max_wait_ms / 1000,
            waiting=lambda: len(self._waiting),
            present=self._present,
            closed=lambda: self._closed,
        )
        self._strikes = 0
        self._closed = False
        for number in range(threads):
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True).start()

    @property
    def waiting(self) -> int:
        with self._changed:
            return sum(1 for row in self._waiting if not row.ended)

    @property
    def running(self) -> int:
        return sum(1 for row in list(self._running) if not row.ended)

    def submit(self, rows: Sequence[Row | Scoring]) -> None:
        """All of them or none. Raises ApiError 429 when the queue is full, 400 when it is shorter than that."""
        if len(rows) > self._limit:
            what = f"{len(rows)} answers at once are more than may wait here, {self._limit}"
            raise ApiError(400, what, code="too_many_answers")
        with self._changed:
            if len(self._waiting) + len(rows) > self._limit:  # those whose client went away take no place
                self._waiting = deque(waiting for waiting in self._waiting if not waiting.ended)
            if len(self._waiting) + len(rows) > self._limit:
                self._metrics.count("admission_rejections", label="queue_full")
                message = f"The queue is full: {self._limit} requests wait already. Try again later."
                raise ApiError(429, message, kind="rate_limit_error", code="queue_full", retry_after_s=1)
            self._waiting.extend(rows)
            self._gathering.came()
            self._changed.notify_all()

    def abort(self, message: str) -> None:
        """Ends everything that waits or runs, with an error for its client; nothing is taken any more."""
        with self._changed:
            self._closed = True
            rows = [*self._waiting, *self._running]
            self._waiting.clear()
            self._changed.notify_all()
        for row in rows:
            row.fail(message)

    def _work(self) -> None:
        while not self._closed:
            rows = self._take()
            if not rows:
                continue
            try:
                self._run([row for row in rows if isinstance(row, Row)])
                scorings = [row for row in rows if isinstance(row, Scoring)]
                if scorings:
                    score(self._generator, scorings, len(self._vocabulary))
                self._strikes = 0
            except Exception as error:  # noqa: BLE001  whatever the engine raises ends these rows, not the server
                self._struck(rows, error)
            finally:
                with self._changed:
                    self._running = [row for row in self._running if row not in rows]
                    self._idle += 1

    def _take(self) -> list[Row | Scoring]:
        """The oldest row and those that share its batch; waits a moment for more of them."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            self._gathering.wait()
            self._waiting = deque(row for row in self._waiting if not row.ended)
            rows = first_batch(self._waiting, self._size, self._idle)
            if rows:
                taken = set(map(id, rows))
                self._waiting = deque(row for row in self._waiting if id(row) not in taken)
                self._running += rows
                self._idle -= 1
            return rows

    def _present(self) -> int:
        return len(self._waiting) + self.running

    def _run(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        now = time.monotonic()
        for row in rows:
            if row.started is None:
                row.started = now
                self._metrics.count("prompt_tokens", len(row.prompt))
        self._metrics.count("batches")
        batch = _Batch(rows, self._joining)
        self._generator.generate_batch(
            [row.prompt + [self._vocabulary[token] for token in row.ids] for row in rows],
            max_length=max(row.limit - row.tokens for row in rows),
            include_prompt_in_result=False,
            callback=batch.step,
            **engine_options(rows[0].params, self._eos, self._vocabulary),
        )
        if batch.stopping:
            self._resume([row for row in rows if not row.ended])
        else:
            for row in rows:
                row.finish("stop")  # nothing for a row that has ended already

    def _resume(self, rows: Sequence[Row]) -> None:
        """They go on before all others, with whoever of these fits."""
        self._metrics.count("num_preemptions", len(rows))
        with self._changed:
            self._waiting.extendleft(reversed(rows))
            self._changed.notify_all()

    def _joining(self, rows: Sequence[Row]) -> list[int]:
        """Lengths of those who wait and could go on together with these."""
        if not self._waiting:  # without the lock: asked at every step, and the next step asks again
            return []
        with self._changed:
            free = self._size - len(rows)
            fitting = (w.length for w in self._waiting if not w.ended and together(rows[0], w))
            return [length for length, _ in zip(fitting, range(free))]  # noqa: B905  as many as there is room for

    def _struck(self, rows: Sequence[Row | Scoring], error: Exception) -> None:
        for row in rows:
            row.fail(f"The engine failed: {error}")
        self._strikes += 1
        if self._strikes == STRIKES:
            self._on_broken(error)


class _Batch:
    """The engine's callback while a batch runs. `stopping`: rows that have not ended go on in another one."""

    def __init__(self, rows: Sequence[Row], joining: Callable[[Sequence[Row]], list[int]]) -> None:
        self._rows, self._joining = rows, joining
        lengths = [row.length for row in rows]
        self._pace = Pace(len(rows) * min(lengths), max(lengths) - min(lengths))
        self._step = -1
        self._restartable = may_restart(rows[0].params)
        self.stopping = False

    def step(self, result: Any) -> bool:
        if result.step != self._step:  # the first row of a step decides for all of them
            self._step = result.step
            now = time.monotonic()
            self._pace.at(result.step, now)
            self.stopping = self.stopping or (self._restartable and self._worth_stopping(now))
        return _step(self._rows[result.batch_id], result.token_id) or self.stopping

    def _worth_stopping(self, now: float) -> bool:
        going = [row for row in self._rows if not row.ended]
        joining = self._joining(going) if going else []
        if not joining:
            return False
        return worth(self._pace, [Going(row.length, row.tokens, row.limit - row.tokens) for row in going], joining, now)


def _step(row: Row, token: int) -> bool:
    try:
        return row.step(token)
    except Exception as error:  # noqa: BLE001  one row's trouble must not end the others of its batch
        row.fail(f"The answer could not be written: {error}")
        return True
