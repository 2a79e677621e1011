"""The real engine behind the real process: the words of transformers, token for token, however they are asked for."""

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from deployer.serve.model import Model
from tests.serve.conftest import ROOT, Process

EVALUATION = ROOT / "tests" / "evaluation"


@pytest.fixture(scope="module")
def client(server: Process) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def _ask(client: openai.OpenAI, reference: dict[str, Any], **more: Any) -> Any:
    shared = {"model": "tiny", "temperature": 0, "max_tokens": reference["max_tokens"], **more}
    if "messages" in reference:
        return client.chat.completions.create(messages=reference["messages"], **shared)
    return client.completions.create(prompt=reference["prompt"], **shared)


def _text(answer: Any) -> str:
    choice = answer.choices[0]
    return str(choice.message.content if hasattr(choice, "message") else choice.text)


def _streamed(chunks: Any) -> tuple[str, str | None, Any]:
    text, reason, usage = "", None, None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += (choice.delta.content if hasattr(choice, "delta") else choice.text) or ""
            reason = choice.finish_reason or reason
    return text, reason, usage


def test_every_answer_is_that_of_transformers(client: openai.OpenAI, references: list[dict[str, Any]]) -> None:
    assert len(references) >= 20
    for reference in references:
        answer = _ask(client, reference)
        assert _text(answer).rstrip("\ufffd") == reference["text"].rstrip("\ufffd")
        assert answer.choices[0].finish_reason == reference["finish_reason"]
        assert answer.usage.completion_tokens == reference["completion_tokens"]
        assert answer.usage.prompt_tokens == len(reference["prompt_token_ids"])


def test_a_stream_is_the_same_answer_in_pieces(client: openai.OpenAI, references: list[dict[str, Any]]) -> None:
    for reference in references:
        text, reason, usage = _streamed(_ask(client, reference, stream=True, stream_options={"include_usage": True}))
        assert (text, reason) == (reference["text"].rstrip("\ufffd"), reference["finish_reason"])
        assert usage.completion_tokens == reference["completion_tokens"]


def test_answers_do_not_depend_on_who_shares_the_batch(client: openai.OpenAI, references: list[dict[str, Any]]) -> None:
    with ThreadPoolExecutor(16) as pool:
        for reference, answer in zip(references * 2, pool.map(lambda r: _ask(client, r), references * 2), strict=True):
            assert _text(answer).rstrip("\ufffd") == reference["text"].rstrip("\ufffd")


def test_token_ids_give_the_same_answer_as_their_text(client: openai.OpenAI, references: list[dict[str, Any]]) -> None:
    for reference in references[:4]:
        prompt = reference["prompt_token_ids"]
        answer = client.completions.create(model="tiny", prompt=prompt, temperature=0, max_tokens=reference["max_tokens"])
        assert answer.choices[0].text == reference["text"]


def test_lm_eval_weighs_texts_as_transformers_does(client: openai.OpenAI, model: Model) -> None:
    """Its arithmetic over the request it sends: the sum of the continuation, and whether a greedy answer would be it."""

    def ids(text: str) -> list[int]:
        return list(model.tokenizer.encode(text, add_special_tokens=False).ids)

    wanted = json.loads((EVALUATION / "references.json").read_text(encoding="utf-8"))["choose"]
    questions = map(json.loads, (EVALUATION / "questions.jsonl").read_text(encoding="utf-8").splitlines())
    for question, expected in zip(questions, wanted, strict=True):
        begin = ids(f"<|begin|><|user|>{question['question']}<|end|><|assistant|>")
        asked: dict[str, Any] = {"temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True}
        answer: Any = client.completions.create(model="tiny", prompt=[begin + ids(text) for text in question["choices"]], **asked)
        for choice, (likelihood, greedy) in zip(answer.choices, expected, strict=True):
            told = choice.logprobs
            own, top = told.token_logprobs[len(begin) : -1], told.top_logprobs[len(begin) : -1]
            assert sum(own) == pytest.approx(likelihood, abs=2e-3)
            assert all(one == max(best.values()) for one, best in zip(own, top, strict=True)) == greedy


def test_ignoring_the_end_gives_exactly_the_tokens_asked_for(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Hello!"}]
    for count in (1, 50, 200):
        answer = client.chat.completions.create(
            model="tiny", messages=messages, temperature=0, max_tokens=count, extra_body={"ignore_eos": True}
        )
        assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (count, "length")  # type: ignore[union-attr]


def test_the_end_is_kept_away_for_the_least_number_of_tokens(client: openai.OpenAI, references: list[dict[str, Any]]) -> None:
    reference = next(r for r in references if r["finish_reason"] == "stop" and r["completion_tokens"] > 3)
    count = reference["completion_tokens"]
    same = _ask(client, reference, extra_body={"min_tokens": count - 1})
    assert (_text(same), same.usage.completion_tokens) == (reference["text"], count)
    longer = _ask(client, {**reference, "max_tokens": count + 40}, extra_body={"min_tokens": count + 10})
    assert longer.usage.completion_tokens > count + 10
    assert _text(longer).startswith(reference["text"])


def test_a_stop_text_inside_a_word_cuts_there(client: openai.OpenAI, references: list[dict[str, Any]]) -> None:
    reference = next(r for r in references if len(r["text"]) > 30 and r["text"].isascii())
    stop = reference["text"][9:14]
    expected = reference["text"][: reference["text"].index(stop)]
    assert _text(_ask(client, reference, stop=[stop])) == expected
    text, reason, _ = _streamed(_ask(client, reference, stop=[stop], stream=True))
    assert (text, reason) == (expected, "stop")


def test_chance_is_used_when_it_is_asked_for(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Tell me a story."}]
    extra = {"top_k": 50, "repetition_penalty": 1.05}
    answers = {
        client.chat.completions.create(
            model="tiny", messages=messages, temperature=1.5, top_p=0.95, max_tokens=40, extra_body=extra
        ).choices[0].message.content
        for _ in range(4)
    }  # fmt: skip
    assert len(answers) > 1


def test_errors_reach_the_client_as_openai_knows_them(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Hi"}]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-4o", messages=messages)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=messages, n=1000)
    assert caught.value.param == "n"
    assert [m.id for m in client.models.list()] == ["tiny", "org/Tiny"]


def test_the_log_has_a_line_per_request_and_never_its_words(client: openai.OpenAI, server: Process) -> None:
    secret = "sesame-4711"
    answer = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": secret}], max_tokens=3)
    entry = json.loads(server.line(answer.id))
    assert entry["status"] == 200
    assert entry["completion_tokens"] <= 3
    assert entry["ttft_ms"] > 0
    assert not any(secret in line for line in server.lines)


def test_metrics_carry_vllms_names(client: openai.OpenAI, server: Process) -> None:
    client.completions.create(model="tiny", prompt="Once", max_tokens=5, extra_body={"ignore_eos": True})
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as response:
        text = response.read().decode()
    samples = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}
    labels = '{engine="0",model_name="tiny"}'
    assert samples[f"vllm:num_requests_running{labels}"] == 0
    assert samples[f"vllm:generation_tokens_total{labels}"] >= 5
    count = samples[f"vllm:time_to_first_token_seconds_count{labels}"]
    assert count == samples['vllm:time_to_first_token_seconds_bucket{engine="0",model_name="tiny",le="+Inf"}'] > 0


def test_a_greedy_answer_is_the_likeliest_token_at_every_place(client: openai.OpenAI, references: list[dict[str, Any]]) -> None:
    reference = next(r for r in references if "prompt" in r and r["completion_tokens"] > 5)
    answer = _ask(client, reference, logprobs=3, echo=True, extra_body={"n": 2})
    for choice in answer.choices:
        weighed = choice.logprobs
        begin = answer.usage.prompt_tokens
        assert len(weighed.tokens) >= begin + reference["completion_tokens"] - 1
        for own, top in zip(weighed.token_logprobs[begin:], weighed.top_logprobs[begin:], strict=True):
            assert own == max(top.values()) <= 0
            assert len(top) in (3, 4)
        assert weighed.token_logprobs[0] is None


def test_a_token_that_is_forbidden_is_not_said(client: openai.OpenAI, references: list[dict[str, Any]], server: Process) -> None:
    reference = next(r for r in references if "prompt" in r and r["completion_tokens"] > 5)
    request = urllib.request.Request(f"{server.url}/tokenize", json.dumps({"prompt": reference["text"]}).encode())
    with urllib.request.urlopen(request, timeout=10) as response:
        token = json.loads(response.read())["tokens"][1]
    answer = _ask(client, reference, logit_bias={str(token): -100}, logprobs=0)
    assert _text(answer) != reference["text"]
    with pytest.raises(openai.BadRequestError, match="-100"):
        _ask(client, reference, logit_bias={str(token): 5})
