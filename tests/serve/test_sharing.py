"""Who begins together, and which worker takes whom."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2

from deployer.serve.model import Model
from deployer.serve.sharing import SPREAD, first_batch
from tests.serve.scripted import Scripted, Served, says


@dataclass(frozen=True, eq=False)
class Waits:
    length: int
    key: tuple[Any, ...] = ("greedy",)
    begun: bool = False


def _lengths(waiting: Sequence[Waits], *, size: int = 16, workers: int = 1) -> list[int]:
    return [row.length for row in first_batch(waiting, size, workers)]


HERD = [Waits(length) for length in (40, 9, 60, 12, 55, 14, 61, 10)]


def test_one_worker_takes_all_who_fit() -> None:
    assert sorted(_lengths(HERD)) == [9, 10, 12, 14, 40, 55, 60, 61]


def test_idle_workers_take_those_of_like_lengths_and_the_oldest_goes_first() -> None:
    assert _lengths(HERD, workers=2) == [40, 55, 60, 61]
    assert _lengths([row for row in HERD if row.length < 40], workers=1) == [9, 10, 12, 14]


def test_a_few_are_not_parted_so_that_the_next_finds_an_idle_worker() -> None:
    assert sorted(_lengths(HERD[:3], workers=2)) == [9, 40, 60]
    assert _lengths(HERD[:5], workers=4) == [9, 12, 40]


def test_where_more_wait_than_fit_the_oldest_goes_with_those_nearest_to_it() -> None:
    assert _lengths(HERD, size=4) == [40, 55, 60, 61]


def test_of_equal_lengths_the_older_go_first() -> None:
    rows = [Waits(20) for _ in range(6)]
    assert first_batch(rows, 4, 1) == rows[:4]


def test_who_was_stopped_goes_on_with_the_others_of_its_batch() -> None:
    stopped = [Waits(length, begun=True) for length in (70, 71, 72)]
    assert _lengths([*stopped, *HERD], size=5, workers=2) == [70, 71, 72, 40, 9]


def test_other_choices_and_other_lengths_wait_for_another_batch() -> None:
    rows = [Waits(10), Waits(10, key=("warm",)), Waits(10 + SPREAD), Waits(11 + SPREAD)]
    assert first_batch(rows, 16, 1) == [rows[0], rows[2]]
    assert first_batch([], 16, 2) == []


def test_two_workers_part_a_herd_by_length(model: Model) -> None:
    engine = says(model, "ok")
    engine.gate.clear()
    served = Served(model, engine, inter_threads=2)
    with ThreadPoolExecutor(1) as pool:
        prompts = [[300] * row.length for row in HERD]
        answer = pool.submit(served.client.post, "/v1/completions", json={"prompt": prompts, "max_tokens": 4})
        for _ in range(2):
            assert engine.entered.acquire(timeout=10)
        engine.gate.set()
        assert len(answer.result(20).json()["choices"]) == len(HERD)
    taken = sorted(sorted(map(len, rows)) for rows, _ in engine.calls)
    assert taken == [[9, 10, 12, 14], [40, 55, 60, 61]]


def test_a_short_request_gets_its_answer_while_a_long_one_holds_the_other_worker(model: Model) -> None:
    token = model.tokenizer.encode(" a", add_special_tokens=False).ids[0]
    held, go = threading.Event(), threading.Event()

    def next_token(prompt: Sequence[str], _: int) -> int:
        if len(prompt) > 30:
            held.set()
            assert go.wait(20)
        return token

    engine = Scripted(next_token)
    served = Served(model, engine, inter_threads=2)
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(served.client.post, "/v1/completions", json={"prompt": [300] * 40, "max_tokens": 30})
        assert held.wait(10)
        assert served.client.post("/v1/completions", json={"prompt": [300] * 10, "max_tokens": 2}).status_code == 200
        assert not long.done()
        go.set()
        assert long.result(20).status_code == 200


def test_answers_of_two_workers_are_those_of_each_alone(model: Model, model_dir: Path, references: list[dict[str, Any]]) -> None:
    generator = ctranslate2.Generator(str(model_dir), compute_type="float32", inter_threads=2, intra_threads=1)
    served = Served(model, generator, inter_threads=2)
    asked = [reference for reference in references if "prompt" in reference]
    texts = served.greedy_answers(asked * 2, clients=16)
    assert texts == [reference["text"].rstrip("\ufffd") for reference in asked * 2]
