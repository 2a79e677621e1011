"""Steady load of chat completions on one endpoint, and what came of every single request. Used by the tests of rollouts, the
benchmarks, and by hand: `python -m tests.lab.load http://HOST:PORT/chat/v1 --model chat --clients 8 --seconds 30`.

A quarter of the clients each: whole answers and streams, over kept connections and over a fresh one per request, or only some of
these KINDS. Nothing is asked again, so what a client library would hide by a second try counts as failed here. An answer counts
when it is complete: a stream with its finish reason and `[DONE]`, a whole answer with its finish reason.
"""

import argparse
import asyncio
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.lab.exchange import Connection, Cut, Head, Target

#: Name → (stream, keep the connection). Clients take them in turn.
KINDS = {
    "whole, kept connection": (False, True),
    "stream, kept connection": (True, True),
    "whole, fresh connection": (False, False),
    "stream, fresh connection": (True, False),
}
AFTER_FAILURE_S = 0.05  # an endpoint that refuses is asked some 20 times a second by each client, not thousands of times


class Wrong(Exception):
    """An answer came, and it is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Failure:
    """`at` and `began` in seconds since the load began; `why` without numbers, so that equal ones can be counted."""

    at: float
    began: float
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class Success:
    at: float
    latency_s: float
    kind: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a load. Times are seconds since it began."""

    seconds: float
    successes: Sequence[Success]
    failures: Sequence[Failure]
    began_at: float  # by the wall clock, to find a moment in the hosts' logs

    @property
    def total(self) -> int:
        return len(self.successes) + len(self.failures)

    @property
    def failed(self) -> int:
        return len(self.failures)

    @property
    def reasons(self) -> dict[str, int]:
        """Most frequent first."""
        return dict(Counter(f"{failure.kind}: {failure.why}" for failure in self.failures).most_common())

    @property
    def gap(self) -> tuple[float, float]:
        """(from, to) of the longest time in which no request succeeded: the downtime that clients measured."""
        ends = [0.0, *sorted(success.at for success in self.successes), self.seconds]
        return max(zip(ends, ends[1:], strict=False), key=lambda pair: pair[1] - pair[0])

    @property
    def longest_gap_s(self) -> float:
        begin, end = self.gap
        return end - begin

    def latency(self, share: float, kind: str = "") -> float:
        """The latency that this share of the successes kept; NaN without any. `kind`: only those whose kind holds this word."""
        values = sorted(success.latency_s for success in self.successes if kind in success.kind)
        return values[min(int(len(values) * share), len(values) - 1)] if values else float("nan")

    @property
    def per_second(self) -> list[tuple[int, int]]:
        """(succeeded, failed) of each second."""
        good = Counter(int(success.at) for success in self.successes)
        bad = Counter(int(failure.at) for failure in self.failures)
        return [(good[second], bad[second]) for second in range(int(self.seconds) + 1)]

    def json(self) -> dict[str, Any]:
        figures = {"p50_s": self.latency(0.5), "p99_s": self.latency(0.99), "longest_gap_s": self.longest_gap_s}
        counts = {"total": self.total, "failed": self.failed, "kinds": dict(Counter(one.kind for one in self.successes))}
        return {**counts, "reasons": self.reasons, **figures, "per_second": self.per_second, "seconds": self.seconds}

    def __str__(self) -> str:
        slow, usual = self.latency(0.99) * 1000, self.latency(0.5) * 1000
        lines = [f"{self.total} requests in {self.seconds:.1f} s, {self.failed} failed; p50 {usual:.1f} ms, p99 {slow:.1f} ms"]
        lines[0] += f"; longest time without an answer {self.longest_gap_s:.2f} s (from {self.gap[0]:.2f} s on)"
        lines += [f"  {count} x {why}" for why, count in self.reasons.items()]
        lines += [f"  first: after {one.at:.3f} s, {one.kind}: {one.why}" for one in self.failures[:1]]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Wish:
    """What every client asks for. `more` goes into the request's body."""

    model: str = "chat"
    max_tokens: int = 2
    stream_tokens: int = 8
    key: str = ""
    timeout_s: float = 60
    pause_s: float = 0.0
    content: str = "Hello"
    more: Mapping[str, Any] = field(default_factory=dict)

    def body(self, stream: bool) -> bytes:
        asked = {"model": self.model, "messages": [{"role": "user", "content": self.content}], "temperature": 0}
        asked["max_tokens"] = self.stream_tokens if stream else self.max_tokens
        return json.dumps({**asked, **self.more} | ({"stream": True} if stream else {})).encode()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


class Load:
    """The clients at work, in a thread of their own. Made by `load`."""

    def __init__(self, target: Target, clients: int, wish: Wish, kinds: Sequence[str]) -> None:
        self._target, self._clients, self._wish, self._kinds = target, clients, wish, kinds
        self._began, self._began_at = time.perf_counter(), time.time()
        self._ended: float | None = None
        self._successes: list[Success] = []
        self._failures: list[Failure] = []
        self._stopping = False
        self._grew = threading.Condition()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)
        self._thread.start()

    @property
    def result(self) -> Result:
        """What has come so far; after the end, all of it."""
        seconds = self._ended if self._ended is not None else self.now
        return Result(seconds, tuple(self._successes), tuple(self._failures), self._began_at)

    @property
    def now(self) -> float:
        """Seconds since the load began: the clock of its times."""
        return time.perf_counter() - self._began

    def wait_for(self, more: int, deadline_s: float = 60) -> None:
        """Until so many more requests have succeeded."""
        wanted = len(self._successes) + more
        with self._grew:
            if not self._grew.wait_for(lambda: len(self._successes) >= wanted, deadline_s):
                raise AssertionError(f"not even {more} more successes within {deadline_s} s\n{self.result}")

    def stop(self) -> None:
        """Every client ends the request it is at; nothing is cut."""
        self._stopping = True
        self._thread.join(self._wish.timeout_s + 10)
        assert not self._thread.is_alive(), "the clients did not end"

    async def _run(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(self._clients)))
        self._ended = self.now

    async def _client(self, number: int) -> None:
        kind = self._kinds[number % len(self._kinds)]
        stream, keep = KINDS[kind]
        body, connection = self._wish.body(stream), None
        while not self._stopping:
            began = self.now
            try:
                async with asyncio.timeout(self._wish.timeout_s):
                    if connection is None or not connection.reusable:
                        _closed(connection)
                        connection = await Connection.open(self._target)
                    await _exchange(connection, body, self._wish.headers, stream=stream, keep=keep)
                self._note(Success(self.now, self.now - began, kind))
            except (Cut, Wrong, TimeoutError) as error:
                why = str(error) or f"nothing complete within {self._wish.timeout_s:g} s"
                self._failures.append(Failure(self.now, began, kind, why))
                _closed(connection)
                connection = None
                await asyncio.sleep(AFTER_FAILURE_S)
            if not keep:
                _closed(connection)
                connection = None
            if self._wish.pause_s:
                await asyncio.sleep(self._wish.pause_s)
        _closed(connection)

    def _note(self, success: Success) -> None:
        with self._grew:
            self._successes.append(success)
            self._grew.notify_all()


def _closed(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()


async def _exchange(connection: Connection, body: bytes, headers: Mapping[str, str], *, stream: bool, keep: bool) -> None:
    """One request and its whole answer. Raises Cut or Wrong."""
    head, pieces = await connection.ask("/chat/completions", body, headers, keep=keep)
    if stream and head.status == 200:
        await _streamed(head, pieces)
        return
    raw = b"".join([piece async for piece in pieces])
    if head.status != 200:
        raise Wrong(f"status {head.status}: {_message(raw)}")
    try:
        reason = json.loads(raw)["choices"][0]["finish_reason"]
    except (ValueError, LookupError, TypeError) as error:
        raise Wrong(f"no answer in the body: {type(error).__name__}") from error
    if not reason:
        raise Wrong("no finish reason")


async def _streamed(head: Head, pieces: AsyncIterator[bytes]) -> None:
    if not head.headers.get("content-type", "").startswith("text/event-stream"):
        raise Wrong("not a stream of events")
    finished, done, rest = False, False, b""
    try:
        async for piece in pieces:
            *events, rest = (rest + piece).split(b"\n\n")
            for event in events:
                data = event.removeprefix(b"data: ")
                done = done or data == b"[DONE]"
                finished = finished or (not done and _finishes(data))
    except Cut as error:
        # After [DONE] every client has what it came for; the connection is not used again.
        if not done:
            raise Cut("the stream was cut " + ("after its finish, before [DONE]" if finished else "before its finish")) from error
    if not (done and finished):
        raise Wrong("the stream ended without " + ("[DONE]" if finished else "a finish reason"))


def _finishes(data: bytes) -> bool:
    try:
        event = json.loads(data)
    except ValueError as error:
        raise Wrong("an event that is no JSON") from error
    if "error" in event:
        raise Wrong(f"an error in the stream: {event['error'].get('message', '')}")
    return any(choice.get("finish_reason") for choice in event.get("choices", ()))


def _message(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return raw[:80].decode(errors="replace").strip()


@contextmanager
def load(
    url: str,
    *,
    clients: int = 8,
    first: int = 0,
    wish: Wish | None = None,
    kinds: Sequence[str] = tuple(KINDS),
    ca: str | None = None,
    **wishes: Any,
) -> Iterator[Load]:
    """Clients ask until the block ends; it begins once `first` requests have succeeded. `wishes` are the fields of Wish."""
    running = Load(Target.of(url, ca=ca), clients, wish or Wish(**wishes), kinds)
    try:
        if first:
            running.wait_for(first)
        yield running
    finally:
        running.stop()


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.load", description="steady load on one endpoint")
    parser.add_argument("url", help="of the endpoint, as `deployer endpoint NAME` says it")
    parser.add_argument("--model", default="chat")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--max-tokens", type=int, default=2)
    parser.add_argument("--stream-tokens", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0, help="seconds that each client waits between two requests")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only such requests; may be given more than once")
    parser.add_argument("--key-file", type=argparse.FileType(), help="holds the endpoint's key")
    parser.add_argument("--ca", help="certificates to trust; '' trusts whatever comes")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(words)
    wish = Wish(given.model, given.max_tokens, given.stream_tokens, pause_s=given.pause)
    if given.key_file:
        wish = Wish(given.model, given.max_tokens, given.stream_tokens, given.key_file.read().strip(), pause_s=given.pause)
    with load(given.url, clients=given.clients, wish=wish, kinds=given.kind or tuple(KINDS), ca=given.ca) as running:
        try:
            time.sleep(given.seconds)
        except KeyboardInterrupt:
            print("stopping", file=sys.stderr)
    print(json.dumps(running.result.json()) if given.json else running.result)
    return int(bool(running.result.failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
