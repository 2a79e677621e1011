"""The server of CTranslate2 deployments against `Generator.generate_batch` of the same requests at the same batch: tokens a
second at 1, 4, 16 and 64 clients, whole answers and streams; then requests of mixed lengths, as they come, where the peer runs
static batches in the order of arrival.

The two take turns; a figure is that of the round in which the machine was least disturbed by others. Beside tokens a second
stands the processor time of a token, which a busy machine distorts less.
    --clients 1,16   only these    --tokens 64   of each answer    --rounds 3    --threads 2   of the engine    --workers 2
    --mixed          only the mixed lengths
"""

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.measure import PYTHON, Row, finish, told
from benchmarks.random_llama import CONTEXT, make_model
from benchmarks.serve_clients import Ask, Figures, ask_all

PROMPT = 64  # tokens
GOAL = 0.95


@dataclass
class Best:
    """Of all rounds: the highest rate, and the least processor time for a token."""

    rate: float = 0.0
    cpu_ms: float = float("inf")
    first_p50: float = float("inf")
    first_p95: float = float("inf")

    def take(self, figures: Figures) -> None:
        self.rate = max(self.rate, figures.tokens / figures.seconds)
        self.cpu_ms = min(self.cpu_ms, 1000 * figures.cpu_s / figures.tokens)
        self.first_p50 = min(self.first_p50, figures.first(0.5))
        self.first_p95 = min(self.first_p95, figures.first(0.95))


def prompts(count: int, tokens: int, seed: int = 0) -> list[Ask]:
    chance = random.Random(seed)
    return [Ask([chance.randrange(300, 16000) for _ in range(PROMPT)], tokens) for _ in range(count)]


def mixed(count: int, longest: int, seed: int = 7) -> list[Ask]:
    chance = random.Random(seed)
    return [
        Ask([chance.randrange(300, 16000) for _ in range(chance.randrange(8, PROMPT))], chance.randrange(longest // 16, longest))
        for _ in range(count)
    ]


class Server:
    """Our server as the unit starts it, in a process of its own."""

    def __init__(self, model: Path, folder: Path, **settings: Any) -> None:
        config = {"model_dir": str(model), "model_names": ["bench"], "port": 0, "max_model_len": CONTEXT, "log_requests": False}
        path = folder / "config.json"
        path.write_text(json.dumps({**config, **settings}))
        argv = [PYTHON, "-m", "deployer.serve", "--config", str(path)]
        self._child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None
        ready = next((line for line in self._child.stdout if "ready" in line or "error" in line), "it ended")
        if "ready" not in ready:
            raise SystemExit(f"the server does not start: {ready}")
        self.port, self.pid = int(ready.rsplit(":", 1)[1]), self._child.pid

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, asks: Sequence[Ask], clients: int, *, stream: bool) -> Figures:
        before = self.cpu_s()
        figures = ask_all(self.port, asks, clients, stream=stream)
        figures.cpu_s = self.cpu_s() - before
        return figures

    def end(self) -> None:
        self._child.terminate()
        self._child.communicate()


class _Batch:
    """The engine's callback for one batch of the peer: rows end after their tokens, and each one's first is noted."""

    def __init__(self, rows: Sequence[Ask], began: float, firsts: list[float]) -> None:
        least = min(len(row.prompt) for row in rows)
        self._ends = [len(row.prompt) - least + row.tokens for row in rows]
        self._silent = set(range(len(rows)))
        self._began, self._firsts = began, firsts

    def __call__(self, result: Any) -> bool:
        if result.batch_id in self._silent:
            self._silent.discard(result.batch_id)
            self._firsts.append(time.perf_counter() - self._began)
        return bool(result.step + 1 >= self._ends[result.batch_id])


def raw_main(pipe: Connection, model: str, threads: int) -> None:
    """The peer: answers each list of requests with its Figures, run in static batches of so many."""
    import ctranslate2

    generator = ctranslate2.Generator(model, device="cpu", intra_threads=threads)
    vocabulary = json.loads((Path(model) / "vocabulary.json").read_text())
    while True:
        asks, size = pipe.recv()
        began, cpu = time.perf_counter(), time.process_time()
        firsts: list[float] = []
        for rows in (asks[at : at + size] for at in range(0, len(asks), size)):
            alike = len({row.tokens for row in rows}) == 1
            generator.generate_batch(
                [[vocabulary[token] for token in row.prompt] for row in rows],
                max_length=max(row.tokens for row in rows),
                include_prompt_in_result=False,
                end_token=[],
                callback=None if alike else _Batch(rows, began, firsts),
            )
        seconds = time.perf_counter() - began
        pipe.send(Figures(sum(ask.tokens for ask in asks), seconds, firsts or [seconds], time.process_time() - cpu))


@contextmanager
def peer(model: Path, threads: int) -> Iterator[Callable[[Sequence[Ask], int], Figures]]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=raw_main, args=(there, str(model), threads), daemon=True)
    process.start()

    def run(asks: Sequence[Ask], size: int) -> Figures:
        here.send((asks, size))
        figures: Figures = here.recv()
        return figures

    yield run
    process.terminate()
    process.join()


def compared(what: str, ours: Best, raw: Best) -> Iterator[Row]:
    ratio = ours.rate / raw.rate
    against = "generate_batch"
    yield Row(f"tokens a second, {what}", ours.rate, raw.rate, against, ratio, f"at least {GOAL:g}", ratio >= GOAL, "/s")
    yield told(f"processor time of a token, {what}", ours.cpu_ms, raw.cpu_ms, against, "ms")


def measure(options: argparse.Namespace, folder: Path) -> list[Row]:
    model = Path(options.model) if options.model else make_model(folder / "model")
    rows: list[Row] = []
    sizes = [int(size) for size in options.clients.split(",")]
    server = Server(model, folder, intra_threads=options.threads, inter_threads=options.workers, max_batch_size=max(*sizes, 16))
    try:
        with peer(model, options.threads) as raw:
            for clients in [] if options.mixed else sizes:
                rows += equal_rows(options, server, raw, clients)
            rows += mixed_rows(options, server, raw)
    finally:
        server.end()
    return rows


def equal_rows(
    options: argparse.Namespace, server: Server, raw: Callable[[Sequence[Ask], int], Figures], clients: int
) -> list[Row]:
    """Each client asks once for as many tokens as the others."""
    asks = prompts(clients, options.tokens)
    other, whole, stream = Best(), Best(), Best()
    for number in range(options.rounds + 1):
        figures = (raw(asks, clients), server.run(asks, clients, stream=False), server.run(asks, clients, stream=True))
        for best, taken in zip((other, whole, stream), figures, strict=True):
            if number:  # the first round only warms up
                best.take(taken)
    what = f"{clients} client{'s' * (clients > 1)}"
    return [*compared(f"{what}, whole", whole, other), *compared(f"{what}, stream", stream, other)]


def mixed_rows(options: argparse.Namespace, server: Server, raw: Callable[[Sequence[Ask], int], Figures]) -> list[Row]:
    """16 clients, each asking again as soon as it has its answer."""
    asks = mixed(48, 4 * options.tokens)
    ours, other = Best(), Best()
    for _ in range(max(1, options.rounds - 1)):
        other.take(raw(asks, 16))
        ours.take(server.run(asks, 16, stream=True))
    return [
        *compared("mixed lengths, 16 clients", ours, other),
        told("first token p50, mixed lengths, 16 clients", ours.first_p50, other.first_p50, "all asked at once, static"),
        told("first token p95, mixed lengths, 16 clients", ours.first_p95, other.first_p95, "all asked at once, static"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", default="1,4,16,64")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--mixed", action="store_true", help="only the mixed lengths")
    parser.add_argument("--model", help="a folder that is there already, instead of a fresh one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return finish(measure(options, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
