"""When a batch is stopped for those who wait, and that nobody's answer is another one by it."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ctranslate2
import pytest

from deployer.serve import batching
from deployer.serve.model import Model
from deployer.serve.rebatch import Going, Pace, worth
from tests.serve.scripted import Scripted, Served
from tests.serve.test_batching import Crowd


def _pace(*, start_s: float = 0.1, steps: int = 20, step_s: float = 0.01, fed: int = 0) -> tuple[Pace, float]:
    now = time.monotonic()
    pace = Pace(read=100, fed=fed, began=now - start_s - steps * step_s, first=now - steps * step_s, step=steps)
    return pace, now


def _worth(running: list[Going], waiting: list[int], **pace: Any) -> bool:
    made, now = _pace(**pace)
    return worth(made, running, waiting, now)


def test_many_who_wait_stop_one_that_has_just_begun() -> None:
    assert _worth([Going(60, 20, 200)], [40] * 8)


def test_many_short_ones_are_let_in_as_soon_as_a_long_answer_has_run_for_as_long_as_its_start() -> None:
    let_in = [steps for steps in range(1, 40) if _worth([Going(40 + steps, steps, 1000)], [40] * 8, start_s=0.1, steps=steps)]
    assert let_in[0] in (10, 11), "steps of 10 ms after a start of 100 ms"
    assert let_in == list(range(let_in[0], 40))


def test_one_who_waits_does_not_stop_many() -> None:
    assert not _worth([Going(60, 20, 200)] * 8, [40])


def test_nobody_stops_an_answer_that_is_nearly_said() -> None:
    assert not _worth([Going(60, 20, 3)], [40] * 8)


def test_an_answer_without_a_limit_is_expected_to_go_on_as_long_as_it_did() -> None:
    assert _worth([Going(60, 20, 10**6)], [40] * 8) == _worth([Going(60, 20, 64)], [40] * 8)


def test_a_batch_gets_on_before_it_is_stopped_again() -> None:
    assert not _worth([Going(60, 20, 200)], [40] * 8, start_s=0.3)  # its start took longer than it has run
    assert not _worth([Going(60, 20, 200)], [40] * 8, fed=11)  # those who were fed have only just begun to speak
    assert not _worth([Going(60, 0, 200)], [40] * 8, steps=0)
    assert not _worth([], [40] * 8)
    assert not _worth([Going(60, 20, 200)], [])


def _always(pace: Pace, running: list[Going], waiting: list[int], now: float) -> bool:
    return pace.step >= 2 and bool(waiting)


def _counting(model: Model) -> Scripted:
    """The next token is told by how many came before it, wherever the engine was begun anew."""
    numbers = list(range(300, 800))
    return Scripted(lambda prompt, step: numbers[(len(prompt) + step) % 500])


def test_a_stopped_answer_goes_on_where_it_was(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"max_tokens": 20}
    expected = Served(model, _counting(model)).chat(**fields).json()["choices"][0]["message"]["content"]
    monkeypatch.setattr(batching, "worth", _always)
    engine = _counting(model)
    served = Served(model, engine)
    crowd = Crowd(served, engine)
    answers = [*crowd.send(fields), served.chat(**fields)]
    assert [a.json()["choices"][0]["message"]["content"] for a in answers] == [expected] * 2
    assert [a.json()["usage"]["completion_tokens"] for a in answers] == [20, 20]
    (prompt,), (longer, late) = engine.calls[0][0], engine.calls[1][0]
    assert longer[: len(prompt)] == prompt
    assert len(longer) == len(prompt) + 3
    assert len(late) == len(prompt)
    assert 'vllm:num_preemptions_total{engine="0",model_name="tiny"} 1.0' in served.client.get("/metrics").text


@pytest.mark.parametrize("fields", [{"repetition_penalty": 1.1}, {"min_tokens": 5}])
def test_what_an_engine_would_count_anew_is_not_stopped(
    model: Model, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    monkeypatch.setattr(batching, "worth", _always)
    engine = _counting(model)
    served = Served(model, engine)
    with ThreadPoolExecutor(2) as pool:
        engine.gate.clear()
        both = [pool.submit(served.chat, max_tokens=20, **fields) for _ in range(2)]
        assert engine.entered.acquire(timeout=10)
        engine.gate.set()
        assert [one.result(20).status_code for one in both] == [200, 200]
    assert {len(prompt) for prompts, _ in engine.calls for prompt in prompts} == {len(engine.calls[0][0][0])}


def test_answers_of_the_real_engine_stay_what_they_are(
    model: Model, model_dir: Path, references: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "worth", _always)
    generator = ctranslate2.Generator(str(model_dir), device="cpu", compute_type="float32", intra_threads=1)
    served = Served(model, generator, max_batch_size=8)
    asked = [reference for reference in references if "prompt" in reference]
    texts = served.greedy_answers(asked * 2, clients=6)
    assert texts == [reference["text"].rstrip("\ufffd") for reference in asked * 2]
    assert 'vllm:num_preemptions_total{engine="0",model_name="tiny"} 0' not in served.client.get("/metrics").text
