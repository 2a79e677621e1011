"""What a request costs more when our handler stands before an engine: passing it on, a transformer, full logging; against the
engine alone and against a plain proxy of Starlette and httpx2, in turns in one run. The engine is ours on models/tiny-chat.
    --requests 60    of each kind and round    --rounds 5
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.measure import PYTHON, ROOT, Row, finish, told
from tests.ports import free_port
from tests.serve.conversion import convert

SCRIPT = """
class Transformer:
    def preprocess(self, request):
        request["messages"].insert(0, {"role": "system", "content": "Be brief."})
        return request
    def postprocess(self, response, request):
        response["note"] = "seen"
        return response
"""
CHAT = {"messages": [{"role": "user", "content": "Hello there"}], "max_tokens": 2, "temperature": 0, "ignore_eos": True}
LONG = {**CHAT, "max_tokens": 32, "stream": True}


class Client:
    """One connection that stays open."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=60)

    def ask(self, path: str, body: dict[str, Any] | None) -> int:
        data = None if body is None else json.dumps(body)
        method = "GET" if body is None else "POST"
        self._connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def wait(self) -> "Client":
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if self.ask("/health", None) == 200:
                    return self
            except OSError:
                self._connection.close()
            time.sleep(0.1)
        raise SystemExit("a server did not come up within a minute")


def started(stack: ExitStack, argv: list[str]) -> None:
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)  # a handler then ends its child, too


def engine(stack: ExitStack, folder: Path) -> int:
    port = free_port()
    config = {"model_dir": str(convert(ROOT / "models/tiny-chat", folder / "model")), "model_names": ["m"], "host": "127.0.0.2"}
    (folder / "serve.json").write_text(json.dumps({**config, "port": port, "intra_threads": 1, "max_model_len": 1024}))
    started(stack, [PYTHON, "-m", "deployer.serve", "--config", str(folder / "serve.json")])
    Client("127.0.0.2", port).wait()
    return port


def handler(stack: ExitStack, folder: Path, engine_port: int, **config: Any) -> Client:
    port = free_port()
    upstream = {"argv": ["sleep", "infinity"], "host": "127.0.0.2", "port": engine_port, "ready_path": "/health"}
    base = {"deployment": "m", "port": port, "scripts": str(folder), "upstream": upstream, "replica": "m/0"}
    file = folder / f"handler-{port}.json"
    file.write_text(json.dumps({**base, **config}))
    started(stack, [PYTHON, "-m", "deployer.handler", "--config", str(file)])
    return Client("127.0.0.1", port).wait()


def proxy(stack: ExitStack, engine_port: int) -> Client:
    port = free_port()
    started(stack, [PYTHON, "-m", "benchmarks.plain_proxy", str(port), f"http://127.0.0.2:{engine_port}"])
    return Client("127.0.0.1", port).wait()


def medians(clients: dict[str, Client], body: dict[str, Any], requests: int, rounds: int) -> dict[str, float]:
    """Seconds of a request, the least of the rounds' medians: that of the round which others disturbed least."""
    found: dict[str, float] = dict.fromkeys(clients, float("inf"))
    for _ in range(rounds):
        for name, client in clients.items():
            taken = []
            for _ in range(requests):
                start = time.perf_counter()
                if client.ask("/v1/chat/completions", body) != 200:
                    raise SystemExit(f"{name} did not answer")
                taken.append(time.perf_counter() - start)
            found[name] = min(found[name], statistics.median(taken))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_known_args()[0]
    rows: list[Row] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "t.py").write_text(SCRIPT)
        port = engine(stack, folder)
        log = {"requests": "full", "sink": "file", "redact": [r"\b\d{16}\b", "$.messages[*].content"]}
        clients = {
            "engine alone": Client("127.0.0.2", port),
            "handler": handler(stack, folder, port),
            "handler, full logging": handler(stack, folder, port, log={**log, "file": {"path": str(folder / "log.jsonl")}}),
            "handler, transformer": handler(stack, folder, port, transformer="t.py"),
            "plain proxy (httpx2)": proxy(stack, port),
        }
        for what, body, requests in (("chat, 2 tokens", CHAT, args.requests), ("stream of 32", LONG, max(1, args.requests // 4))):
            found = medians(clients, body, requests, args.rounds)
            alone = found["engine alone"]
            rows += [told(f"{what}: {name}", 1000 * found[name], 1000 * alone, "engine alone", "ms") for name in list(found)[1:]]
        written = (folder / "log.jsonl").read_text().count("\n")
    print(f"records written: {written}", file=sys.stderr)
    return finish(rows)


if __name__ == "__main__":
    sys.exit(main())
