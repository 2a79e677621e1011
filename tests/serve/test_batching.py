"""Who runs with whom, who waits, who is sent away, and what happens when the engine fails."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deployer.serve import gathering
from deployer.serve.model import Model
from tests.serve.scripted import Scripted, Served, repeats, says


class Crowd:
    """Requests sent while a first one holds the engine, so that all of them wait at the same time."""

    def __init__(self, served: Served, engine: Scripted) -> None:
        self.served, self.engine = served, engine
        self.pool = ThreadPoolExecutor(32)
        engine.gate.clear()
        self.first = self.pool.submit(served.chat)
        assert engine.entered.acquire(timeout=10)

    def send(self, *requests: dict[str, Any]) -> list[Any]:
        """Sent one after another, each waiting in the queue before the next comes."""
        futures = []
        for number, request in enumerate(requests, 1):
            futures.append(self.pool.submit(self.served.chat, **request))
            _until(lambda n=number: self.served.service.gauges()["num_requests_waiting"] == n)
        self.engine.gate.set()
        answers = [future.result(20) for future in futures]
        assert self.first.result(20).status_code == 200
        self.pool.shutdown(wait=False)
        return answers


def _until(condition: Any) -> None:
    tick = threading.Event()
    for _ in range(2000):
        if condition():
            return
        tick.wait(0.005)
    raise AssertionError("it never came to that")


def _sizes(engine: Scripted) -> list[int]:
    return [len(prompts) for prompts, _ in engine.calls[1:]]


def test_those_with_the_same_choices_run_together_in_their_order(model: Model) -> None:
    engine = says(model, "ok")
    served = Served(model, engine, max_batch_size=4)
    greedy, warm = {"temperature": 0}, {"temperature": 0.7}
    Crowd(served, engine).send(greedy, warm, greedy, {"temperature": 0, "max_tokens": 3}, warm)
    assert _sizes(engine) == [3, 2]


def test_a_batch_is_no_larger_than_allowed(model: Model) -> None:
    engine = says(model, "ok")
    Crowd(Served(model, engine, max_batch_size=2), engine).send(*[{"temperature": 0}] * 5)
    assert _sizes(engine) == [2, 2, 1]


def test_a_long_prompt_does_not_wait_inside_a_batch_of_short_ones(model: Model) -> None:
    engine = says(model, "ok")
    Crowd(Served(model, engine), engine).send({"text": "Hi"}, {"text": "word " * 200}, {"text": "Hello"})
    assert _sizes(engine) == [2, 1]


def test_with_a_repetition_penalty_only_equal_lengths_run_together(model: Model) -> None:
    engine = says(model, "ok")
    punished = {"repetition_penalty": 1.1}
    Crowd(Served(model, engine), engine).send(
        {"text": "Hi", **punished}, {"text": "Hi you", **punished}, {"text": "Hi", **punished}
    )
    assert _sizes(engine) == [2, 1]


def test_every_row_ends_at_its_own_limit_and_costs_nothing_after_it(model: Model) -> None:
    engine = repeats(model, " a")
    served = Served(model, engine)
    answers = Crowd(served, engine).send(*[{"max_tokens": n, "temperature": 0} for n in (2, 30, 7)])
    assert [a.json()["usage"]["completion_tokens"] for a in answers] == [2, 30, 7]
    first = 1024 - answers[0].json()["usage"]["prompt_tokens"]  # the holder ran to the end of the context
    assert engine.steps == first + 2 + 30 + 7
    assert _sizes(engine) == [3]


def test_a_batch_begins_when_as_many_are_there_as_the_last_time(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "GAP_S", 60)
    engine = says(model, "ok")
    served = Served(model, engine, max_wait_ms=60_000)
    crowd = Crowd(served, engine)  # the one that holds the engine has not waited for anybody
    again = crowd.pool.submit(lambda: [crowd.first.result(20), served.chat()])  # and asks again when it has its answer
    assert [answer.status_code for answer in crowd.send({}, {})] == [200, 200]
    assert again.result(20)[1].status_code == 200
    assert _sizes(engine) == [3]


def test_nobody_waits_long_for_those_who_do_not_come(model: Model) -> None:
    engine = says(model, "ok")
    served = Served(model, engine, max_wait_ms=60_000)
    Crowd(served, engine).send({}, {})
    assert served.chat().status_code == 200
    assert _sizes(engine) == [2, 1]


def test_the_queue_has_an_end(model: Model) -> None:
    engine = says(model, "ok")
    served = Served(model, engine, max_queue=2)
    crowd = Crowd(served, engine)
    waiting = [crowd.pool.submit(served.chat) for _ in range(2)]
    _until(lambda: served.service.gauges()["num_requests_waiting"] == 2)
    refused = served.chat()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["error"]["code"] == "queue_full"
    crowd.send()
    assert [future.result(20).status_code for future in waiting] == [200, 200]
    assert (
        'vllm:admission_rejections_total{engine="0",model_name="tiny",reason="queue_full"} 1.0'
        in served.client.get("/metrics").text
    )
    assert served.service.busy == 0


def _failing(_: Sequence[str], __: int) -> int:
    raise RuntimeError("CUDA error: an illegal memory access")


def test_a_failing_engine_is_an_error_for_its_rows_and_after_three_times_given_up(model: Model) -> None:
    served = Served(model, Scripted(_failing))
    for expected in (False, False, True):
        error = served.chat()
        assert error.status_code == 500
        assert "illegal memory access" in error.json()["error"]["message"]
        _until(lambda wanted=expected: served.broken.is_set() == wanted)


def test_a_failure_in_the_middle_of_a_stream_is_said_in_it(model: Model) -> None:
    token = model.tokenizer.encode(" a", add_special_tokens=False).ids[0]

    def once(_: Sequence[str], step: int) -> int:
        return token if step == 0 else _failing(_, step)

    text = Served(model, Scripted(once)).chat(stream=True).text
    assert '"content":" a"' in text
    assert '"code":"engine_error"' in text
    assert text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_frees_its_row(model: Model, stream: bool) -> None:
    """The engine repeats itself until the context is full, unless the row is dropped."""
    engine = repeats(model, " a")
    served = Served(model, engine)
    engine.gate.clear()

    async def leave() -> None:
        import json

        gone = asyncio.Event()
        incoming = [{"type": "http.request", "body": json.dumps({"prompt": "x", "stream": stream, "max_tokens": 900}).encode()}]

        async def receive() -> dict[str, Any]:
            if incoming:
                return incoming.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None: ...

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/completions",
            "raw_path": b"/v1/completions",
            "query_string": b"",
            "headers": [],
        }
        running = asyncio.ensure_future(
            served.client.app({**scope, "asgi": {"version": "3.0"}, "http_version": "1.1"}, receive, send)
        )
        assert await asyncio.to_thread(engine.entered.acquire, timeout=10)
        gone.set()
        await asyncio.wait_for(running, 10)

    asyncio.run(leave())
    assert served.service.busy == 0
    engine.gate.set()
    assert served.chat(max_tokens=1).status_code == 200
    _until(lambda: served.service.gauges()["num_requests_running"] == 0)
    assert engine.steps <= 3
    assert 'finished_reason="abort"} 1.0' in served.client.get("/metrics").text


def test_while_it_loads_and_while_it_drains_nothing_is_let_in(model: Model) -> None:
    served = Served(model, says(model, "ok"))
    assert served.client.get("/health").status_code == 200
    for state in ("loading", "draining"):
        served.service.state = state
        refused = served.chat()
        assert (refused.status_code, refused.headers["retry-after"], refused.json()["error"]["code"]) == (503, "1", state)
        assert (served.client.get("/health").status_code, served.client.get("/health").json()) == (503, {"status": state})
    assert served.client.get("/metrics").status_code == 200
