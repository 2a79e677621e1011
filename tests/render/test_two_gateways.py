"""Two gateways that serve the same endpoint: one is switched off, and clients that try the other one go on."""

import http.client
import os
import signal
import threading
from collections import Counter

from deployer.render.gateway import Server
from tests.render.conftest import Engine, Gateway
from tests.render.test_gateway import BEARER, KEY, route

CLIENTS, REQUESTS = 6, 60


class Client(threading.Thread):
    """Asks one gateway; when the connection breaks it asks the other, and stays there. A stream is read to its end."""

    def __init__(self, gateways: list[Gateway], first: int, started: threading.Barrier) -> None:
        super().__init__()
        self.gateways, self.at, self.started = gateways, first, started
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        self.started.wait(20)
        for number in range(REQUESTS):
            body = {"chunks": 3} if number % 2 else {"prompt": "hi"}
            self.seen[self.ask(body)] += 1

    def ask(self, body: dict[str, object]) -> str:
        for _ in self.gateways:
            try:
                answer = self.gateways[self.at].request("POST", "/chat/v1/completions", body, **BEARER)
            except (OSError, http.client.HTTPException):
                self.seen["cut"] += 1
                self.at = 1 - self.at
                continue
            return str(answer.status)
        return "failed"


def test_one_of_two_gateways_is_switched_off(gateway: Gateway, second: Gateway, engine: Server) -> None:
    both = [gateway, second]
    Engine.release.set()  # streams flow
    for one in both:
        one.start(route(one, "chat", engine, keys={KEY: "a"}))
    started = threading.Barrier(CLIENTS + 1)
    clients = [Client(both, number % 2, started) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    started.wait(20)
    gateway.until(lambda: all(client.seen["200"] > 3 for client in clients))
    assert gateway.process is not None
    os.killpg(gateway.process.pid, signal.SIGKILL)
    for client in clients:
        client.join()
    seen = sum((client.seen for client in clients), Counter[str]())
    assert seen["200"] == CLIENTS * REQUESTS
    assert set(seen) == {"200", "cut"}
    assert seen["cut"] == len([client for client in clients if client.seen["cut"]]), "each client lost one connection at most"
