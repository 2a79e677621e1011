"""An engine that plays a script, and an application over it: for what a real engine cannot be made to do on demand."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

from starlette.testclient import TestClient

from deployer.serve.config import Config
from deployer.serve.journal import Journal
from deployer.serve.model import Model
from deployer.serve.server import build_app
from deployer.serve.service import Service


class Scripted:
    """`token(prompt, step)` is the next token of a row. While `gate` is closed a batch waits before its first step."""

    def __init__(self, token: Callable[[Sequence[str], int], int]) -> None:
        self._token = token
        self.calls: list[tuple[list[list[str]], dict[str, Any]]] = []
        self.steps = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def generate_batch(self, start_tokens: list[list[str]], *, max_length: int, callback: Any, **options: Any) -> None:
        self.calls.append((start_tokens, {"max_length": max_length, **options}))
        self.entered.release()
        assert self.gate.wait(20)
        alive = list(range(len(start_tokens)))
        for step in range(max_length):
            for row in list(alive):
                self.steps += 1
                if callback(SimpleNamespace(batch_id=row, token_id=self._token(start_tokens[row], step), step=step)):
                    alive.remove(row)
            if not alive:
                return


def says(model: Model, text: str) -> Scripted:
    """Every row says `text` and ends."""
    ids = [*model.tokenizer.encode(text, add_special_tokens=False).ids, min(model.eos)]
    return Scripted(lambda _, step: ids[step] if step < len(ids) else ids[-1])


def repeats(model: Model, text: str) -> Scripted:
    """Every row says the first token of `text` for ever."""
    token = model.tokenizer.encode(text, add_special_tokens=False).ids[0]
    return Scripted(lambda _, __: token)


class Served:
    """`client` talks to the application; `broken` is set when the engine was given up."""

    def __init__(self, model: Model, engine: Any, **settings: Any) -> None:
        config = Config(model_dir="/models/tiny", model_names=("tiny", "org/Tiny"), port=0, **settings)
        self.broken = threading.Event()
        self.service = Service(config)
        self.service.start(model, engine, lambda _: self.broken.set())
        self.client = TestClient(build_app(self.service, Journal(config.log_requests)), raise_server_exceptions=False)

    def greedy_answers(self, asked: Sequence[Mapping[str, Any]], clients: int) -> list[str]:
        """To references, each with its `prompt` and `max_tokens`, in their order; so many clients ask at once."""
        with ThreadPoolExecutor(clients) as pool:
            return list(pool.map(self._greedy, asked))

    def _greedy(self, reference: Mapping[str, Any]) -> str:
        body = {"prompt": reference["prompt"], "temperature": 0, "max_tokens": reference["max_tokens"]}
        return str(self.client.post("/v1/completions", json=body).json()["choices"][0]["text"])

    def chat(self, text: str = "Hi", **fields: Any) -> Any:
        return self.client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": text}], **fields})
