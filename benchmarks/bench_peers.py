"""The server of CTranslate2 deployments against vLLM for CPUs and llama-server: one random Llama of 63 million parameters, the
same float32 weights for all, asked over HTTP (`/v1/completions`, greedy, prompts and answers of a fixed length) by 1, 4, 16 and
64 clients, whole answers and streams; then answers of mixed lengths. The whole curve, without a goal.

float32 is the one type that all three compute in on any CPU; llama-server still keeps its attention cache in float16, as it does
unless it is told otherwise. Each is started as its unit would, with as many threads; one is up at a time, and they take turns.
Every client asks twice (64 once), each time another prompt, so that no cache of prompts helps. A figure is that of the turn in
which the machine was least disturbed by others; beside tokens a second stands the processor time of a token, which a busy machine
distorts less. How far the answers are alike is said beside the table, and how much of the processors others had meanwhile.

A peer that is not there is named and left out:
    vLLM          its environment is made under build/ as locks/ pins it (Python 3.11, x86-64; 3 GB), or is given: --vllm FOLDER;
                  what it compiles is kept there too, so its first start takes longer than the next
    llama-server  DEPLOYER_LLAMA_SERVER names the folder with the wheel of script/llama-server

    --clients 1,16   only these    --tokens 24   of each answer    --turns 2   of each server    --threads 2   of each
    --minutes 8      at most            --workers 2   that the threads of ours are divided among
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.bench_serve import Best, mixed, prompts
from benchmarks.measure import PYTHON, Row, finish, told
from benchmarks.peer_servers import BUILD, Missing, Peer, llama_server_environment, running, vllm_environment
from benchmarks.random_llama import make_checkpoint
from benchmarks.serve_clients import Ask, ask_all
from deployer.engines.ctranslate2_settings import TESTED as CTRANSLATE2
from deployer.engines.llamacpp import TESTED as LLAMA_SERVER
from deployer.engines.vllm_settings import TESTED as VLLM
from tests.gguffile import write_gguf
from tests.serve.conversion import convert

CONTEXT = 512
ASKS = 2  # of each client; of 64 one
MIXED = 16  # clients
_SAME = 24  # tokens of the answer that is compared
Point = tuple[int, bool]  # clients, and whether they stream; 0: mixed lengths


@dataclass
class Found:
    """Of one server, all turns."""

    title: str
    points: dict[Point, Best] = field(default_factory=dict)
    ready_s: float = float("inf")
    memory_gib: float = 0.0
    said: str = ""
    others: list[float] = field(default_factory=list)  # their share of the processors, point by point


def peers(options: argparse.Namespace, folder: Path) -> list[Peer]:
    """Ours first. Says which are not there."""
    checkpoint = make_checkpoint(BUILD / "model" / "checkpoint")  # always there: vLLM finds by its path what it has compiled
    threads, length = options.threads, {"max_model_len": CONTEXT}
    workers = min(options.workers, threads)
    ours = {**length, "quantization": "float32", "inter_threads": workers, "intra_threads": threads // workers}
    found = [
        Peer(
            f"CTranslate2 {CTRANSLATE2}", "ctranslate2", convert(checkpoint, folder / "converted"), Path(PYTHON).parents[1], ours
        )
    ]

    def add(
        title: str, engine: str, model: Callable[[], Path], environment: Callable[[], Path], settings: dict[str, Any]
    ) -> None:
        try:
            env = environment()
        except Missing as why:
            print(f"!!! NOT RUN  {title}: {why}", file=sys.stderr, flush=True)
            return
        found.append(Peer(title, engine, model(), env, settings))

    # it would leave a processor to itself, and have a thread less than the others
    bind = {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0))[:threads]))}
    cpu = {**length, "variant": "cpu", "dtype": "float32", "env": bind}
    add(f"vLLM {VLLM['cpu']}", "vllm", lambda: checkpoint, lambda: vllm_environment(options.vllm), cpu)
    gguf = {**length, "threads": threads}
    add(f"llama-server {LLAMA_SERVER}", "llamacpp", lambda: _gguf(folder, checkpoint), llama_server_environment, gguf)
    return found


def _gguf(folder: Path, checkpoint: Path) -> Path:
    (folder / "gguf").mkdir()
    return write_gguf(folder / "gguf" / "model.gguf", checkpoint).parent


def asks_of(point: Point, tokens: int, seed: int) -> list[Ask]:
    clients = point[0]
    return prompts(min(clients * ASKS, max(clients, 32)), tokens, seed) if clients else mixed(MIXED * ASKS, 2 * tokens, seed)


def turn(peer: Peer, found: Found, points: Sequence[Point], options: argparse.Namespace, folder: Path, number: int) -> None:
    """One start of one server, and every point once."""
    most = max(MIXED, *(clients for clients, _ in points))
    with running(peer, folder, most) as server:
        for stream in (False, True):  # what is compiled or allotted at first use
            ask_all(server.port, prompts(most, 4, seed=1 + stream), most, stream=stream)
        found.said = found.said or answer(server.port)
        for at, point in enumerate(points):
            asks = asks_of(point, options.tokens, seed=1000 * (number + 1) + at)
            before, busy, own = server.cpu_s(), busy_s(), time.process_time()
            figures = ask_all(server.port, asks, point[0] or MIXED, stream=point[1])
            figures.cpu_s = server.cpu_s() - before
            strange = busy_s() - busy - figures.cpu_s - (time.process_time() - own)
            found.others.append(max(0.0, strange / figures.seconds / (os.cpu_count() or 1)))
            found.points.setdefault(point, Best()).take(figures)
        found.ready_s = min(found.ready_s, server.ready_s)
        found.memory_gib = max(found.memory_gib, server.memory_gib())


def busy_s() -> float:
    """Processor time that this machine has spent, on whatever."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def answer(port: int) -> str:
    chance = random.Random(5)
    wish = {"model": "bench", "prompt": [chance.randrange(300, 16000) for _ in range(32)], "max_tokens": _SAME, "temperature": 0}
    body = json.dumps({**wish, "ignore_eos": True}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return str(json.loads(response.read())["choices"][0]["text"])


def measure(options: argparse.Namespace, folder: Path) -> list[Row]:
    began = time.monotonic()
    servers = peers(options, folder)
    found = {peer.engine: Found(peer.title) for peer in servers}
    sizes = [int(size) for size in options.clients.split(",")]
    points = [*((size, stream) for size in sizes for stream in (False, True)), (0, True)]
    longest = 0.0
    for number in range(options.turns):
        started = time.monotonic()
        if started - began + longest > options.minutes * 60:
            print(f"{number} turns of {options.turns}: another would end after {options.minutes:g} minutes", file=sys.stderr)
            break
        for peer in servers[number % len(servers) :] + servers[: number % len(servers)]:
            place = folder / f"{peer.engine}-{number}"
            place.mkdir()
            began_s = time.monotonic()
            turn(peer, found[peer.engine], points, options, place, number)
            print(f"turn {number + 1}: {peer.title} took {time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True)
        longest = max(longest, time.monotonic() - started)
    ours, *others = found.values()
    for one in found.values():
        shares = f"{min(one.others):.0%} to {max(one.others):.0%}, {sum(one.others) / len(one.others):.0%} on average"
        print(f"while {one.title} was measured, others had of the processors: {shares}", file=sys.stderr)
    for other in others:
        alike = len(os.path.commonprefix([ours.said, other.said])) / max(len(ours.said), len(other.said))
        print(f"{_SAME} tokens of {other.title} are like ours in {alike:.0%} of their letters, from the first", file=sys.stderr)
    return [row for point in points for row in point_rows(point, ours, others)] + whole_rows(ours, others)


def point_rows(point: Point, ours: Found, others: Sequence[Found]) -> list[Row]:
    clients, stream = point
    what = (
        f"{clients} client{'s' * (clients > 1)}, {'stream' if stream else 'whole'}"
        if clients
        else f"{MIXED} clients, mixed lengths"
    )
    mine, rows = ours.points[point], list[Row]()
    for title, best in ((other.title, other.points[point]) for other in others):
        rows.append(told(f"tokens a second, {what}", mine.rate, best.rate, title, "/s"))
        rows.append(told(f"processor time of a token, {what}", mine.cpu_ms, best.cpu_ms, title, "ms"))
        if stream:
            rows.append(told(f"first token p50, {what}", mine.first_p50, best.first_p50, title))
            rows.append(told(f"first token p95, {what}", mine.first_p95, best.first_p95, title))
    return rows


def whole_rows(ours: Found, others: Sequence[Found]) -> list[Row]:
    starts = [told("ready after", ours.ready_s, other.ready_s, other.title) for other in others]
    return starts + [told("memory at the end", ours.memory_gib, other.memory_gib, other.title, "G") for other in others]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", default="1,4,16,64")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="that the threads of our server are divided among")
    parser.add_argument("--minutes", type=float, default=8, help="no turn begins that would end later")
    parser.add_argument("--vllm", metavar="FOLDER", help="an environment with vLLM for CPUs, instead of the one under build/")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # or the server that is up would stay
    with tempfile.TemporaryDirectory() as folder:
        return finish(measure(options, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
