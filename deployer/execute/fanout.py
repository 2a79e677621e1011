"""The same work for many hosts at once: bounded, each with its own deadline. Called by probe, apply and logs; `beside` by app."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

R = TypeVar("R")


def fan_out(
    names: Iterable[str],
    work: Callable[[str], R],
    *,
    limit: int,
    deadline_s: float,
    late: Callable[[str], R],
) -> dict[str, R]:
    """`work(name)` for every name, at most `limit` at a time; results in the order of the names.

    A name that takes longer than `deadline_s` seconds gets the result of `late(name)`: its thread is left behind (a
    daemon: it holds nobody up) and what it still finds is ignored. An exception of `work` is raised here.
    """
    order = list(names)
    waiting = deque(order)
    running: dict[str, float] = {}
    results: dict[str, R] = {}
    done: queue.SimpleQueue[tuple[str, R | None, BaseException | None]] = queue.SimpleQueue()

    def one(name: str) -> None:
        try:
            done.put((name, work(name), None))
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that called us)
            done.put((name, None, error))

    while waiting or running:
        while waiting and len(running) < limit:
            name = waiting.popleft()
            running[name] = time.monotonic() + deadline_s
            threading.Thread(target=one, args=(name,), name=f"host-{name}", daemon=True).start()
        try:
            name, result, error = done.get(timeout=max(0.0, min(running.values()) - time.monotonic()))
        except queue.Empty:
            for name in [n for n, end in running.items() if end <= time.monotonic()]:
                del running[name]
                results[name] = late(name)
            continue
        if running.pop(name, None) is None:
            continue  # it came after its deadline: `late` has answered for it
        if error is not None:
            raise error
        results[name] = result  # type: ignore[assignment]
    return {name: results[name] for name in order}


def beside(work: Callable[[], R]) -> Callable[[], R]:
    """Begins `work` in another thread; what is returned waits for its result, and raises what it raised. A caller that
    never asks leaves it behind.
    """
    done: queue.SimpleQueue[tuple[R | None, BaseException | None]] = queue.SimpleQueue()

    def one() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that asks)
            done.put((None, error))

    threading.Thread(target=one, name="beside", daemon=True).start()

    def result() -> R:
        found, error = done.get()
        if error is not None:
            raise error
        return found  # type: ignore[return-value]

    return result
