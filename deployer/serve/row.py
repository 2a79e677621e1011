"""One request while it waits and runs. The batch threads write, the connection's coroutine reads events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from deployer.serve.metrics import Metrics
from deployer.serve.sampling import Params, group_key
from deployer.serve.stream import Detokenizer, StopFilter

#: ("text", what was added) | ("end", finish reason) | ("error", message)
Event = tuple[str, str]


class Row:
    """`prompt` are the engine's token strings, `limit` the most tokens to generate; `emit` takes events from any thread."""

    def __init__(
        self,
        prompt: list[str],
        params: Params,
        limit: int,
        eos: frozenset[int],
        detokenizer: Detokenizer,
        metrics: Metrics,
        emit: Callable[[Event], None],
    ) -> None:
        self.prompt, self.params, self.limit = prompt, params, limit
        self.key = group_key(params, len(prompt))
        self._ends = (frozenset() if params.ignore_eos else eos) | frozenset(params.stop_token_ids)
        self._text = detokenizer
        self._stops = StopFilter(params.stop, params.include_stop)
        self._metrics = metrics
        self._emit = emit
        self._ending = threading.Lock()  # client and engine may both end it, at the same moment
        self.tokens = 0
        self.ids: list[int] = []  # without the token that ended it
        self.closing: int | None = None  # that token
        self.arrived = time.monotonic()
        self.started: float | None = None
        self.first: float | None = None
        self.last: float | None = None
        self.reason: str | None = None  # why it ended; also "abort", "error" and "deadline"

    @property
    def length(self) -> int:
        """Tokens of prompt and answer so far."""
        return len(self.prompt) + len(self.ids)

    @property
    def begun(self) -> bool:
        """It has run already, and was stopped if it waits."""
        return self.started is not None

    @property
    def said(self) -> list[int]:
        """All that it has chosen: probabilities are told of the token that ended it too, as vLLM tells them."""
        return self.ids if self.closing is None else [*self.ids, self.closing]

    @property
    def ended(self) -> bool:
        return self.reason is not None

    def step(self, token: int) -> bool:
        """Takes the next token. True: this row needs no more. Called by the engine in its batch's thread."""
        if self.ended:
            return True
        self._clock()
        self.tokens += 1
        if token in self._ends and self.tokens > self.params.min_tokens:
            self.closing = token
            self.finish("stop")
            return True
        self.ids.append(token)
        text = self._text.push(token)
        stopped = False
        if self.tokens > self.params.min_tokens:
            text, stopped = self._stops.push(text)
        if text:
            self._emit(("text", text))
        if stopped:
            self._end("stop", ("end", "stop"))
        elif self.tokens >= self.limit:
            self.finish("length")
        return self.ended

    def finish(self, reason: str) -> None:
        """Ends with what the stop filter had kept back; an unfinished character at the end is left out."""
        if self.ended:
            return
        rest = self._stops.rest()
        if rest:
            self._emit(("text", rest))
        self._end(reason, ("end", reason))

    def fail(self, message: str, reason: str = "error") -> None:
        self._end(reason, ("error", message))

    def cancel(self) -> None:
        """The client went away. The engine drops the row at its next token."""
        self._end("abort", ("end", "abort"))

    def _end(self, reason: str, event: Event) -> None:
        with self._ending:
            if self.ended:
                return
            self.reason = reason
        self._emit(event)
        self._metrics.count("request_success", label=reason)
        now = time.monotonic()
        self._metrics.observe("e2e_request_latency_seconds", now - self.arrived)
        self._metrics.observe("request_prompt_tokens", len(self.prompt))
        self._metrics.observe("request_generation_tokens", self.tokens)
        if self.started is not None:
            self._metrics.observe("request_queue_time_seconds", self.started - self.arrived)
            self._metrics.observe("request_inference_time_seconds", now - self.started)
        if self.started is not None and self.first is not None:
            self._metrics.observe("request_prefill_time_seconds", self.first - self.started)
            self._metrics.observe("request_decode_time_seconds", now - self.first)
        if self.first is not None and self.last is not None and self.tokens > 1:
            self._metrics.observe("request_time_per_output_token_seconds", (self.last - self.first) / (self.tokens - 1))

    def _clock(self) -> None:
        now = time.monotonic()
        self._metrics.count("generation_tokens")
        if self.last is None:
            self.first = now
            self._metrics.observe("time_to_first_token_seconds", now - self.arrived)
        else:
            self._metrics.observe("inter_token_latency_seconds", now - self.last)
        self.last = now
