"""One answer that is read in a thread and drawn meanwhile, with its times. Used by the playground."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployer.app.streaming import Answer

#: Pieces that came in less time than this came in one burst, and tell no rate. Seconds.
BURST_S = 0.25


class Talking:
    """`text` grows while `read` runs in its thread."""

    def __init__(self, answer: "Answer") -> None:
        self.text = ""
        self._answer = answer
        self._began = time.monotonic()
        self._first: float | None = None
        self._last = self._began
        self._pieces = 0
        self._stopped = False

    def read(self) -> None:
        """To its end, or until it is stopped. Raises what the endpoint said."""
        for piece in self._answer:
            self._last = time.monotonic()
            self._first = self._first or self._last
            self._pieces += 1
            self.text += piece

    def stop(self) -> None:
        """The engine stops too: the connection is gone."""
        self._stopped = True
        self._answer.close()

    def measured(self) -> str:
        """ "first token after 41 ms, 120 tokens, 32.1 tokens/s". Pieces count as tokens until the endpoint says how many."""
        if self._first is None:
            return "stopped before the first token" if self._stopped else ""
        tokens = self._answer.tokens or self._pieces
        spent = self._last - self._first
        rate = f", {(tokens - 1) / spent:.1f} tokens/s" if tokens > 1 and spent >= BURST_S else ""
        end = ", stopped" if self._stopped else ", cut at its limit" if self._answer.finish == "length" else ""
        return f"first token after {(self._first - self._began) * 1000:.0f} ms, {tokens} tokens{rate}{end}"
