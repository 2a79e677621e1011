"""Several answers or prompts in one request, its own prompt in front, probabilities, tokens: what clients send beside text."""

import gc
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from deployer.serve.answer import Answer
from deployer.serve.model import Model
from deployer.serve.request import Job
from deployer.serve.row import Row
from deployer.serve.scoring import Scoring, scores
from deployer.serve.service import Ticket
from tests.serve.scripted import Scripted, Served, repeats, says
from tests.serve.test_protocol import _error, _events


@pytest.fixture
def served(model: Model) -> Served:
    return Served(model, says(model, "It is all right."))


def _complete(served: Served, prompt: Any = "Once", **fields: Any) -> Any:
    return served.client.post("/v1/completions", json={"prompt": prompt, "max_tokens": 30, **fields})


def _by_prompt(model: Model) -> Scripted:
    """Every row repeats the last token of its prompt twice and ends."""
    numbers = {token: number for number, token in enumerate(model.vocabulary)}
    return Scripted(lambda prompt, step: numbers[prompt[-1]] if step < 2 else min(model.eos))


def test_several_prompts_times_several_answers_in_their_order(model: Model) -> None:
    served = Served(model, _by_prompt(model))
    answer = _complete(served, [[300], [301, 302]], n=2).json()
    texts = [choice["text"] for choice in answer["choices"]]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert texts == [model.decode([t, t]) for t in (300, 300, 302, 302)]
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 12, "total_tokens": 15}


def test_a_stream_of_several_answers_says_whose_each_piece_is(model: Model) -> None:
    served = Served(model, _by_prompt(model))
    events = _events(_complete(served, ["one two", "three"], stream=True, stream_options={"include_usage": True}))
    texts, ends = ["", ""], []
    for event in events[:-1]:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["text"]
            ends += [choice["index"]] if choice["finish_reason"] else []
    assert texts == [choice["text"] for choice in _complete(served, ["one two", "three"]).json()["choices"]]
    assert sorted(ends) == [0, 1]
    assert events[-1]["usage"]["completion_tokens"] == 6


def test_usage_in_every_chunk_where_it_is_asked_for(served: Served) -> None:
    events = _events(_complete(served, stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True}))
    counts = [event["usage"]["completion_tokens"] for event in events]
    assert counts == sorted(counts)
    assert counts[-1] == counts[-2] > 1


def test_all_answers_of_a_request_are_taken_or_none(model: Model) -> None:
    served = Served(model, says(model, "ok"), max_queue=3)
    assert served.chat(n=3).status_code == 200
    error = _error(served.chat(n=4), 400)
    assert error["code"] == "too_many_answers"
    assert served.service.gauges() == {"num_requests_running": 0, "num_requests_waiting": 0}


def test_the_first_chunk_of_a_chat_comes_with_its_first_token(model: Model) -> None:
    """A client that measures takes the first chunk for the first token."""
    engine = says(model, "ok")
    served = Served(model, engine)
    seen: list[int] = []
    token = engine._token
    engine._token = lambda prompt, step: seen.append(step) or token(prompt, step)  # type: ignore[func-returns-value]
    answer = served.chat(stream=True)
    first = answer.text.split("\n\n")[0]
    assert json.loads(first.removeprefix("data: "))["choices"][0]["delta"]["role"] == "assistant"
    assert seen


def test_echo_puts_the_prompt_in_front(served: Served, model: Model) -> None:
    assert _complete(served, "Once", echo=True).json()["choices"][0]["text"] == "OnceIt is all right."
    ids = model.tokenizer.encode("Hello there", add_special_tokens=False).ids
    assert _complete(served, ids, echo=True).json()["choices"][0]["text"] == "Hello thereIt is all right."
    events = _events(_complete(served, "Once", echo=True, stream=True))
    assert "".join(event["choices"][0]["text"] for event in events) == "OnceIt is all right."
    only = _complete(served, "Once", echo=True, max_tokens=0).json()
    assert (only["choices"][0]["text"], only["usage"]["completion_tokens"]) == ("Once", 0)


def test_the_end_of_a_prompt_is_kept_where_that_was_asked_for(model: Model) -> None:
    engine = says(model, "ok")
    served = Served(model, engine)
    assert _complete(served, [300, 301, 302], truncate_prompt_tokens=2).json()["usage"]["prompt_tokens"] == 2
    assert engine.calls[0][0] == [[model.vocabulary[i] for i in (301, 302)]]
    long = _complete(served, [300] * 2000, truncate_prompt_tokens=-1, max_tokens=4)
    assert long.json()["usage"]["prompt_tokens"] == 1020


def test_special_tokens_are_shown_where_that_was_asked_for(model: Model) -> None:
    special = min(model.special - model.eos)
    served = Served(model, Scripted(lambda _, step: special if step == 0 else min(model.eos)))
    assert _complete(served).json()["choices"][0]["text"] == ""
    assert _complete(served, skip_special_tokens=False).json()["choices"][0]["text"] == model.vocabulary[special]


class Scorer(Scripted):
    """Says one token, and knows how likely each token is: the token itself at its own number's place."""

    def __init__(self, token: int, vocabulary: int) -> None:
        super().__init__(lambda _, __: token)
        self.vocabulary = vocabulary
        self.passes: list[list[list[int]]] = []

    def forward_batch(self, inputs: list[list[int]], *, return_log_probs: bool) -> Any:
        assert return_log_probs
        self.passes.append(inputs)
        table = np.full((len(inputs), max(map(len, inputs)), self.vocabulary), -50.0, np.float32)
        for row, ids in enumerate(inputs):
            for place, token in enumerate(ids[1:]):
                table[row, place, token] = -0.5 - place
                table[row, place, 7] = -0.25
        return table


def test_what_lm_eval_sends_to_weigh_a_text_is_answered(model: Model) -> None:
    """`local-completions`, loglikelihood: token ids, echo, one token more; it reads token_logprobs[ctxlen:-1]."""
    served = Served(model, Scorer(400, len(model.vocabulary)))
    prompt = [[300, 301, 302], [310, 311, 312, 313]]
    body = {"model": "tiny", "prompt": prompt, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True}
    choices = served.client.post("/v1/completions", json=body).json()["choices"]
    weighed = choices[1]["logprobs"]
    assert weighed["token_logprobs"] == [None, -0.5, -1.5, -2.5, -3.5]
    assert weighed["tokens"] == [model.name(token) for token in (310, 311, 312, 313, 400)]
    assert weighed["top_logprobs"][0] is None
    assert weighed["top_logprobs"][2] == {model.name(7): -0.25, model.name(312): -1.5}
    assert choices[0]["logprobs"]["token_logprobs"] == [None, -0.5, -1.5, -2.5]
    offsets = weighed["text_offset"]
    assert [choices[1]["text"][a:b] for a, b in zip(offsets, offsets[1:], strict=False)] == weighed["tokens"][:-1]


def test_of_the_token_that_ends_an_answer_a_probability_is_told_too(model: Model) -> None:
    """lm-eval takes the last entry for the one token it asked for, whatever that was: without it, it loses one of the text's."""
    end = min(model.eos)
    served = Served(model, Scorer(end, len(model.vocabulary)))
    choice = _complete(served, [300, 301, 302], max_tokens=1, logprobs=1, echo=True, temperature=0).json()["choices"][0]
    assert (choice["finish_reason"], choice["text"]) == ("stop", model.decode([300, 301, 302]))
    assert choice["logprobs"]["token_logprobs"] == [None, -0.5, -1.5, -2.5]
    assert choice["logprobs"]["tokens"][-1] == model.vocabulary[end]
    assert len(served.chat(logprobs=True).json()["choices"][0]["logprobs"]["content"]) == 1


def test_a_chat_tells_its_tokens_and_the_likeliest_beside_them(model: Model) -> None:
    engine = Scorer(400, len(model.vocabulary))
    served = Served(model, engine)
    content = served.chat(logprobs=True, top_logprobs=2, max_tokens=3).json()["choices"][0]["logprobs"]["content"]
    assert [entry["token"] for entry in content] == [model.name(400)] * 3
    assert content[0]["top_logprobs"][0] == {"token": model.name(7), "logprob": -0.25, "bytes": list(model.name(7).encode())}
    assert len(engine.passes) == 1
    assert served.chat(logprobs=True, max_tokens=1).json()["choices"][0]["logprobs"]["content"][0]["top_logprobs"] == []


def test_probabilities_that_cannot_be_had_are_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(model, says(model, "ok"))
    assert "stream" in _error(served.chat(logprobs=True, stream=True), 400, "logprobs")["message"]
    _error(_complete(served, logprobs=21), 400, "logprobs")
    monkeypatch.setattr("deployer.serve.request.MOST_BYTES", 4 * len(model.vocabulary) * 10)
    assert "at once, 10" in _error(_complete(served, logprobs=1), 400, "logprobs")["message"]
    error = _error(_complete(served, logprobs=1, max_tokens=2), 500)  # this engine has no such pass
    assert error["code"] == "engine_error"


def test_scores_are_those_of_the_table() -> None:
    table = np.log(np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.25, 0.25, 0.5], [1.0, 1.0, 1.0]]))
    found = scores([2, 1, 0], table, 2)
    assert [None if value is None else round(float(np.exp(value)), 3) for value in found.own] == [None, 0.7, 0.5]
    assert [[token for token, _ in place] for place in found.top] == [[], [1, 2], [0, 2], [2, found.top[3][1][0]]]


def test_tokens_there_and_back(served: Served, model: Model) -> None:
    text = "Grüße, 世界 🚀"
    made = served.client.post("/tokenize", json={"model": "tiny", "prompt": text, "add_special_tokens": False}).json()
    assert made["tokens"] == model.tokenizer.encode(text, add_special_tokens=False).ids
    assert (made["count"], made["max_model_len"], made["token_strs"]) == (len(made["tokens"]), 1024, None)
    assert served.client.post("/detokenize", json={"tokens": made["tokens"]}).json() == {"prompt": text}
    chat = {"messages": [{"role": "user", "content": "Hi"}], "return_token_strs": True}
    talk = served.client.post("/tokenize", json=chat).json()
    assert talk["count"] == served.chat("Hi").json()["usage"]["prompt_tokens"]
    assert talk["token_strs"] == [model.vocabulary[token] for token in talk["tokens"]]
    assert served.client.post("/tokenize", json={"prompt": "", "add_special_tokens": False}).json()["tokens"] == []


def test_what_tokenizers_are_told_wrongly_is_refused(served: Served) -> None:
    _error(served.client.post("/tokenize", json={"prompt": 5}), 400, "prompt")
    _error(served.client.post("/tokenize", json={"prompt": "x", "tools": [1]}), 400, "tools")
    _error(served.client.post("/tokenize", json={"prompt": "x", "model": "other"}), 404, "model")
    _error(served.client.post("/detokenize", json={"tokens": [5, 4000]}), 400, "tokens")
    _error(served.client.post("/detokenize", json={"tokens": "x"}), 400, "tokens")


def test_lm_eval_finds_the_tokenizer(served: Served, model: Model) -> None:
    info = served.client.get("/tokenizer_info").json()
    assert info["eos_token"]
    assert model.template is not None
    assert info["chat_template"] == model.template.source


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "Once upon", "repetition_penalty": 1.0, "max_tokens": 5, "logprobs": None}),
        (
            "/v1/completions",
            {"prompt": [300, 301], "repetition_penalty": 1.0, "max_tokens": 5, "ignore_eos": True, "temperature": 0},
        ),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "max_completion_tokens": 5},
        ),
    ],
)
def test_what_vllm_bench_serve_sends_is_answered(model: Model, path: str, body: dict[str, Any]) -> None:
    served = Served(model, repeats(model, " a"))
    asked = {"model": "tiny", **body, "stream": True, "stream_options": {"include_usage": True}}
    events = _events(served.client.post(path, json=asked, headers={"x-request-id": "bench-0"}))
    assert events[-1]["usage"]["completion_tokens"] == 5
    assert not events[-1]["choices"]
    assert events[0]["id"].endswith("-bench-0")


def test_a_request_id_that_is_no_id_is_not_taken(served: Served) -> None:
    answer = _complete(served)
    assert answer.headers["x-request-id"] == answer.json()["id"]
    odd = served.client.post("/v1/completions", json={"prompt": "x"}, headers={"x-request-id": "a b\x7f" * 3})
    assert " " not in odd.json()["id"]


def test_one_model_by_its_name(served: Served) -> None:
    assert served.client.get("/v1/models/org/Tiny").json()["id"] == "org/Tiny"
    _error(served.client.get("/v1/models/gpt"), 404, "model")


def test_a_process_that_drains_lives_and_is_not_ready(served: Served) -> None:
    served.service.state = "draining"
    assert (served.client.get("/live").status_code, served.client.get("/health").status_code) == (200, 503)
    _error(served.client.post("/tokenize", json={"prompt": "x"}), 503)


def test_an_answer_that_takes_longer_than_allowed_is_ended_and_said_so(model: Model) -> None:
    engine = repeats(model, " a")
    engine.gate.clear()
    served = Served(model, engine, deadline_s=0.05)
    error = _error(served.chat(), 504)
    assert (error["code"], error["type"]) == ("deadline_exceeded", "timeout_error")
    assert "deadline_exceeded" in served.chat(stream=True).text
    engine.gate.set()
    assert Served(model, repeats(model, " a"), deadline_s=20).chat(max_tokens=2).status_code == 200


def _never(_: Sequence[str], __: int) -> int:
    raise AssertionError


def test_nothing_is_generated_where_nothing_is_asked_for(model: Model) -> None:
    assert _complete(Served(model, Scripted(_never)), echo=True, max_tokens=0).status_code == 200


def test_nothing_is_kept_of_a_request_that_is_answered(model: Model) -> None:
    served = Served(model, Scorer(400, len(model.vocabulary)), deadline_s=60, log_requests=False)
    before = _alive()
    for number in range(30):
        served.chat(stream=bool(number % 2), max_tokens=3, n=2)
        served.chat(logprobs=True, max_tokens=2)
        served.chat(temperature="x")
    assert (_alive() - before).total() <= 5  # those of the last batch, which its thread still names
    assert served.service.busy == 0


def _alive() -> Counter[str]:
    gc.collect()
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, (Row, Scoring, Ticket, Answer, Job)))
