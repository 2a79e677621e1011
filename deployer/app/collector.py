"""Python's cyclic garbage collector, told to wait while a plan is made. Called at the app's edge: the planner itself is pure."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_waits() -> Iterator[None]:
    """A plan of a large fleet makes millions of values that stay, and no cycles: the collector would look through all of them
    again and again and find nothing, for a third of the time. What is in no cycle is freed as ever.
    """
    waits_already = not gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not waits_already:
            gc.enable()
