"""How likely each token of a text is, by one pass of the model over all of it. The batch threads run it like any other request.

`generate_batch` tells the probability of the tokens it chooses and nothing of the others, and nothing of a prompt's; a pass over
prompt and answer tells everything, at the price of reading the text once more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

#: Probabilities of every token at every place are held at once: memory that one pass may take.
MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Scores:
    """`own[i]`: log probability of token i, None for the first, which nothing precedes. `top[i]`: the likeliest at that place,
    (id, log probability), best first; one more than tokens, for what would come next."""

    own: list[float | None]
    top: list[list[tuple[int, float]]]


class Forward(Protocol):
    """The part of `ctranslate2.Generator` that is used here."""

    def forward_batch(self, inputs: list[list[int]], *, return_log_probs: bool) -> Any: ...


class Scoring:
    """One text that waits and runs like a Row. `done` takes the Scores, or a message when there are none."""

    key: tuple[Any, ...] = ("scores",)
    begun = False

    def __init__(self, prompt: list[int], top: int, done: Callable[[Scores | str], None]) -> None:
        self.prompt, self._top, self._done = prompt, max(1, top), done
        self._ending = threading.Lock()
        self.ended = False

    @property
    def length(self) -> int:
        return len(self.prompt)

    def take(self, table: Any) -> None:
        """`table[place][token]`: log probabilities of what follows each place."""
        self._end(scores(self.prompt, table, self._top))

    def fail(self, message: str) -> None:
        self._end(message)

    def cancel(self) -> None:
        self._end("the client went away")

    def _end(self, result: Scores | str) -> None:
        with self._ending:
            if self.ended:
                return
            self.ended = True
        self._done(result)


def score(generator: Forward, rows: Sequence[Scoring], vocabulary: int) -> None:
    """All rows in as few passes as the memory allows."""
    import numpy

    most = max(1, MOST_BYTES // 4 // vocabulary // max(len(row.prompt) for row in rows))
    for at in range(0, len(rows), most):
        some = rows[at : at + most]
        view = generator.forward_batch([row.prompt for row in some], return_log_probs=True)
        if getattr(view, "device", "cpu") != "cpu":
            import ctranslate2

            view = view.to(ctranslate2.DataType.float32).to_device(ctranslate2.Device.cpu)
        for row, table in zip(some, numpy.asarray(view)):  # noqa: B905  Python 3.9
            row.take(table)


def scores(ids: Sequence[int], table: Any, top: int) -> Scores:
    import numpy

    table = table[: len(ids)]
    most = min(top, table.shape[1])
    best = numpy.argpartition(table, -most, axis=1)[:, -most:]
    likeliest: list[list[tuple[int, float]]] = [[]]
    for place, tokens in enumerate(best):
        pairs = [(int(token), float(table[place, token])) for token in tokens]
        likeliest.append(sorted(pairs, key=lambda pair: -pair[1]))
    own: list[float | None] = [None]
    own += [float(table[place, token]) for place, token in enumerate(ids[1:])]
    return Scores(own, likeliest)
