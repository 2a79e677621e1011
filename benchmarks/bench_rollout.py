"""Requests that fail while a deployment of two replicas is replaced (blue_green, rolling), rolled back, and while the gateway
reloads, under steady load of whole answers and streams, over kept and fresh connections: none of at least 10 000. And how long it
takes from "the new replicas answer" until all requests go to them.

Needs root on Linux (one lab host). --keep leaves the lab; BENCH_REQUESTS=2000 asks fewer.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from benchmarks.measure import Row, finish
from benchmarks.served import lab_with
from tests.lab.commands import Deployer, tiny_chat, write_deployment
from tests.lab.load import Load, Result, load

REQUESTS = int(os.environ.get("BENCH_REQUESTS", "10000"))
CLIENTS = 12
RELOADS = 10
HOST = "lab-1"


def write(command: Deployer, strategy: str, length: int) -> None:
    rules = f"rollout: {{strategy: {strategy}, min_healthy: 0s}}\n"
    chat = tiny_chat(HOST, length).replace("float32", "float32, intra_threads: 1")
    write_deployment(command.root, "chat", f"{chat}replicas: 2\n{rules}")


@contextmanager
def under_load(command: Deployer, requests: int) -> Iterator[Load]:
    """At least so many requests, some before and some after what the block does."""
    url = command.json("endpoint", "chat")["url"]
    with load(url, clients=CLIENTS, first=100) as running:
        yield running
        done = running.result.total
        running.wait_for(max(100, requests - done), deadline_s=600)


def row(what: str, result: Result) -> Row:
    print(f"{what}: {result}", file=sys.stderr)
    return Row(
        f"{what}: failed",
        result.failed,
        result.total,
        "all requests",
        result.failed / result.total,
        "none",
        not result.failed,
        "",
    )


def events(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def ended(told: list[dict[str, str]], *labels: str) -> float:
    """When the last step whose label ends so was done."""
    found = [e["at"] for e in told if e.get("state") == "done" and e.get("label", "").endswith(labels)]
    return max(datetime.fromisoformat(at).timestamp() for at in found)


def measure(command: Deployer) -> list[Row]:
    write(command, "blue_green", 512)
    command("lock")
    command("apply", "--yes")
    share = REQUESTS // 4
    rows = []
    write(command, "blue_green", 480)
    with under_load(command, share) as running:
        told = events(command("apply", "--yes", "--json").stdout)
    rows.append(row("blue_green", running.result))
    write(command, "rolling", 448)
    with under_load(command, share) as running:
        command("apply", "--yes")
    rows.append(row("rolling", running.result))
    with under_load(command, share) as running:
        command("rollback", "chat", "--yes")
    rows.append(row("rollback", running.result))
    with under_load(command, REQUESTS - sum(int(r.other) for r in rows)) as running:
        for _ in range(RELOADS):
            command.lab.run(HOST, ["systemctl", "reload", f"deployer-{command.root.name}-gateway.service"])
            running.wait_for(20)
    rows.append(row(f"{RELOADS} reloads of the gateway", running.result))
    failed, total = sum(r.ours for r in rows), sum(r.other for r in rows)
    rows.append(
        Row("all together: failed", failed, total, "all requests", failed / total, "none", not failed and total >= REQUESTS, "")
    )
    healthy = ended(told, "chat/0 answers", "chat/1 answers")
    for what, labels in (
        ("new requests go to it", ("reload the gateway",)),
        ("no request is left on the old", ("requests on the old chat/0 end", "requests on the old chat/1 end")),
    ):
        seconds = ended(told, *labels) - healthy
        # the waiting for silence on the old ones is part of it
        rows.append(
            Row(f'from "new replica healthy" to "{what}"', seconds, 5.0, "the goal", seconds / 5, "within 5 s", seconds <= 5)
        )
    return rows


def main() -> int:
    with lab_with("rollout", 1) as command:
        return finish(measure(command))


if __name__ == "__main__":
    sys.exit(main())
