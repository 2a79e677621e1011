"""What the server of CTranslate2 deployments keeps of a request: its memory after a tenth of the requests and after all of them,
whole answers, streams and clients that go away in the middle, over the tiny model.

    --requests 100000    --clients 16
"""

import argparse
import random
import socket
import sys
import tempfile
from pathlib import Path

from benchmarks.bench_serve import Server
from benchmarks.measure import ROOT, at_most, finish
from benchmarks.serve_clients import Ask, ask_all
from tests.serve.conversion import convert

LIMIT = 1.1
GOING = b'{"prompt": "Once", "max_tokens": 500, "ignore_eos": true, "stream": true}'


def some(count: int, chance: random.Random) -> list[Ask]:
    def ids() -> list[int]:
        return [chance.randrange(300, 1000) for _ in range(chance.randrange(1, 40))]

    return [Ask(ids(), chance.randrange(1, 8)) for _ in range(count)]


def leave(port: int) -> None:
    """A client that has read the first bytes of its answer and is gone."""
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(GOING), GOING))
        client.recv(64)


def rounds(server: Server, count: int, clients: int, chance: random.Random) -> float:
    """So many requests, then the server's resident memory in MiB."""
    for at in range(0, count, 1000):
        ask_all(server.port, some(min(1000, count - at), chance), clients, stream=bool(at // 1000 % 2))
        leave(server.port)
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chance = random.Random(3)
    with tempfile.TemporaryDirectory() as folder:
        model = convert(ROOT / "models" / "tiny-chat", Path(folder) / "model")
        server = Server(model, Path(folder), max_model_len=1024, intra_threads=1)
        try:
            early = rounds(server, options.requests // 10, options.clients, chance)
            late = rounds(server, options.requests - options.requests // 10, options.clients, chance)
        finally:
            server.end()
    what = f"memory after {options.requests} requests"
    return finish([at_most(what, late, early, f"after {options.requests // 10}", LIMIT, "MiB")])


if __name__ == "__main__":
    sys.exit(main())
