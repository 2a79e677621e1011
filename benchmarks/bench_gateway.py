"""What the gateway adds to a request: the same load on the engine's own port and through the gateway, both over the host's
loopback, in turns; p50 and p99 at 1, 16 and 64 clients that keep their connections, and for streams over fresh connections. Each
figure is that of the round in which the machine was least disturbed by others.

Needs root on Linux (one lab host). --keep leaves the lab.
"""

import sys
from dataclasses import dataclass

from benchmarks.measure import Row, at_most, finish, told
from benchmarks.served import lab_with, loaded
from tests.lab.commands import Deployer, tiny_chat, write_deployment

ROUNDS = 5
SECONDS = "2"
SIZES = (1, 16, 64)


@dataclass
class Figures:
    """Of each round: p50 and p99 in milliseconds."""

    p50: list[float]
    p99: list[float]


def measure(command: Deployer) -> list[Row]:
    write_deployment(command.root, "chat", tiny_chat("lab-1").replace("float32", "float32, intra_threads: 1"))
    command("lock")
    command("apply", "--yes")
    (found,) = (d for d in command.json("status")["deployments"] if d["name"] == "chat")
    port = found["replicas"][0]["units"][0]["port"]
    gateway = command.json("endpoint", "chat")["url"].split("//", 1)[1].split("/", 1)[0].rpartition(":")[2]
    rows = []
    for clients in SIZES:
        rows += compared(command, port, int(gateway), clients, "whole, kept connection")
    return [*rows, *compared(command, port, int(gateway), 16, "stream, fresh connection")]


def compared(command: Deployer, port: int, gateway: int, clients: int, kind: str) -> list[Row]:
    urls = {"engine": f"http://127.0.0.1:{port}/v1", "gateway": f"http://127.0.0.1:{gateway}/chat/v1"}
    words = ("--clients", str(clients), "--seconds", SECONDS, "--kind", kind, "--max-tokens", "1")
    figures = {name: Figures([], []) for name in urls}
    for number in range(ROUNDS + 1):
        for name, url in urls.items():
            result = loaded(command, "lab-1", url, *words)
            if result["failed"]:
                raise SystemExit(f"{name}: {result['failed']} of {result['total']} failed: {result['reasons']}")
            if number:  # the first round only warms up
                figures[name].p50.append(result["p50_s"] * 1000)
                figures[name].p99.append(result["p99_s"] * 1000)
    ours, engine = figures["gateway"], figures["engine"]
    what = f"{clients} client{'s' * (clients > 1)}, {kind}"
    best = [min(values) for values in (ours.p50, engine.p50, ours.p99, engine.p99)]
    return [
        at_most(f"p50, {what}", best[0], best[1], "the engine alone", 1.5, unit="ms"),
        told(f"p99, {what}", best[2], best[3], "the engine alone", unit="ms"),
    ]


def main() -> int:
    with lab_with("gateway", 1) as command:
        return finish(measure(command))


if __name__ == "__main__":
    sys.exit(main())
