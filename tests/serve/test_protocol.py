"""What a client meets: answers in OpenAI's shape, and refusals that name what is wrong."""

import json
from typing import Any

import pytest

from deployer.serve.model import Model
from deployer.serve.sampling import Defaults
from tests.serve.scripted import Scripted, Served, repeats, says


@pytest.fixture
def served(model: Model) -> Served:
    return Served(model, says(model, "A plan shows <b>it</b> all."))


def _error(response: Any, status: int, param: str | None = None) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param
    return error


def _events(response: Any) -> list[dict[str, Any]]:
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in response.text.split("\n\n") if line]
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_chat_is_answered_with_usage(served: Served) -> None:
    answer = served.chat("What?", model="org/Tiny").json()
    assert answer["model"] == "org/Tiny"
    assert answer["object"] == "chat.completion"
    choice = answer["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "A plan shows <b>it</b> all."}
    assert choice["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_adds_up_to_the_whole_answer(served: Served) -> None:
    whole = served.chat().json()
    events = _events(served.chat(stream=True, stream_options={"include_usage": True}))
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events[:-1]) == whole["choices"][0]["message"]["content"]
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert (events[-1]["choices"], events[-1]["usage"]) == ([], whole["usage"])
    assert all(event["usage"] is None for event in events[:-1])
    assert len({event["id"] for event in events}) == 1


def test_a_plain_completion_streams_text(served: Served) -> None:
    events = _events(served.client.post("/v1/completions", json={"prompt": "Once", "stream": True, "max_tokens": 100}))
    assert "".join(event["choices"][0]["text"] for event in events) == "A plan shows <b>it</b> all."
    assert {event["object"] for event in events} == {"text_completion"}
    assert "usage" not in events[-1]


def test_a_stop_text_ends_the_answer_before_it(served: Served) -> None:
    choice = served.chat(stop=["b>it", "never"]).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("A plan shows <", "stop")
    events = _events(served.chat(stop="b>it", stream=True))
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events) == "A plan shows <"


def test_stop_texts_of_the_deployment_hold_for_a_request_without_its_own(model: Model) -> None:
    engine = says(model, "A plan shows it.")
    served = Served(model, engine)
    object.__setattr__(served.service, "model", model.__class__(**{**vars(model), "defaults": Defaults(stop=(" shows",))}))
    assert served.chat().json()["choices"][0]["message"]["content"] == "A plan"
    assert served.chat(stop=[]).json()["choices"][0]["message"]["content"] == "A plan shows it."


def test_a_prompt_of_token_ids_is_taken_as_it_is(model: Model) -> None:
    engine = says(model, "ok")
    served = Served(model, engine)
    answer = served.client.post("/v1/completions", json={"prompt": [5, 6, 7]}).json()
    assert answer["usage"]["prompt_tokens"] == 3
    assert engine.calls[0][0] == [[model.vocabulary[i] for i in (5, 6, 7)]]
    assert _error(served.client.post("/v1/completions", json={"prompt": [5, 1024]}), 400, "prompt")["message"].endswith(
        "from 0 to 1023"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 0), ("n", 129), ("logprobs", 1), ("top_logprobs", 5), ("tools", [{"type": "function"}]),
        ("tool_choice", "required"), ("seed", 7),
        ("response_format", {"type": "json_object"}), ("presence_penalty", 0.1),
        ("frequency_penalty", -1),
        ("min_p", 0.05), ("temprature", 0.5), ("guided_json", {}), ("skip_special_tokens", 0), ("prompt", "x"),
        ("best_of", 3), ("prompt_logprobs", 1), ("structured_outputs", {"json": {}}), ("echo", True), ("bad_words", ["x"]),
        ("truncate_prompt_tokens", 0), ("repetition_detection", {}), ("max_tokens", 0),
    ],
)  # fmt: skip
def test_what_it_cannot_do_is_refused_by_name_never_ignored(served: Served, field: str, value: Any) -> None:
    assert field in _error(served.chat(**{field: value}), 400, field)["message"]


@pytest.mark.parametrize("field", ["response_format", "structured_outputs", "guided_json", "guided_regex"])
def test_a_form_of_the_answer_is_refused_with_who_can(served: Served, field: str) -> None:
    value = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    for message in (
        _error(served.chat(**{field: value}), 400, field)["message"],
        _error(served.client.post("/v1/completions", json={"prompt": "x", field: value}), 400, field)["message"],
    ):
        assert "vllm" in message


def test_what_asks_for_nothing_is_no_reason_to_refuse(served: Served) -> None:
    fields = {
        "n": 1,
        "best_of": 1,
        "logit_bias": {},
        "logprobs": False,
        "tools": [],
        "presence_penalty": 0.0,
        "seed": None,
        "response_format": {"type": "text"},
    }
    assert served.chat(user="me", metadata={"a": "b"}, store=True, **fields).status_code == 200
    assert served.chat(temperature=0, seed=7).status_code == 200  # greedy repeats itself anyway


@pytest.mark.parametrize(
    ("messages", "where"),
    [
        (None, "messages"), ([], "messages"), ("hi", "messages"), (["hi"], "messages[0]"),
        ([{"content": "x"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"), ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": "x", "tool_calls": [{}]}], "messages[0].tool_calls"),
        ([{"role": "user", "content": "\ud800"}], "messages"),
        ([{"role": "wizard", "content": "x"}], "messages"),
    ],
)  # fmt: skip
def test_messages_of_a_wrong_shape_are_refused_with_their_place(served: Served, messages: Any, where: str) -> None:
    body = json.dumps({"messages": messages}).encode()
    _error(served.client.post("/v1/chat/completions", content=body), 400, where)


def test_what_the_template_refuses_is_said_in_its_own_words(served: Served) -> None:
    message = _error(
        served.client.post("/v1/chat/completions", json={"messages": [{"role": "wizard", "content": "x"}]}), 400, "messages"
    )["message"]
    assert "one of the roles system, user and assistant" in message


def test_text_parts_are_joined(model: Model) -> None:
    engine = says(model, "ok")
    served = Served(model, engine)
    parts = [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]
    served.client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": parts}]})
    served.chat("Hello\nthere")
    assert engine.calls[0][0] == engine.calls[1][0]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe{}", b'{"messages": NaN}', b"[" * 100_000, b'{"prompt": ' + b"1" * 5000 + b"}"]
)
def test_a_body_that_is_no_json_object_is_a_400(served: Served, body: bytes) -> None:
    _error(served.client.post("/v1/completions", content=body), 400)


def test_a_body_that_is_too_large_is_not_read_to_its_end(model: Model) -> None:
    engine = says(model, "ok")
    served = Served(model, engine, max_body_bytes=1000)
    assert _error(served.client.post("/v1/completions", content=b"x" * 1001), 413)["code"] == "body_too_large"
    assert engine.calls == []


def test_the_context_is_a_limit_with_numbers(model: Model) -> None:
    served = Served(model, repeats(model, " a"))
    long = [5] * 1020
    error = _error(served.client.post("/v1/completions", json={"prompt": long, "max_tokens": 5}), 400, "max_tokens")
    assert error["code"] == "context_length_exceeded"
    assert "1020" in error["message"]
    assert "1024" in error["message"]
    assert _error(served.client.post("/v1/completions", json={"prompt": [5] * 1024}), 400)["code"] == "context_length_exceeded"
    exact = served.client.post("/v1/completions", json={"prompt": long, "max_tokens": 4}).json()
    assert exact["usage"]["completion_tokens"] == 4
    # nobody said how many: what there is room for
    assert served.client.post("/v1/completions", json={"prompt": long}).json()["usage"]["completion_tokens"] == 4
    chat = served.chat("Hi", ignore_eos=True).json()
    assert chat["usage"]["total_tokens"] == 1024
    assert chat["choices"][0]["finish_reason"] == "length"


def test_exactly_as_many_tokens_as_asked_for(model: Model) -> None:
    end = min(model.eos)
    served = Served(model, Scripted(lambda _, step: end))
    assert served.chat().json()["usage"]["completion_tokens"] == 1
    answer = served.chat(ignore_eos=True, max_tokens=20, stream=True, stream_options={"include_usage": True})
    assert _events(answer)[-1]["usage"]["completion_tokens"] == 20


def test_another_models_name_is_a_404(served: Served) -> None:
    assert _error(served.chat(model="gpt"), 404, "model")["code"] == "model_not_found"
    assert _error(served.chat(model=5), 404, "model")["code"] == "model_not_found"


def test_paths_and_methods_that_do_not_exist_answer_in_the_same_shape(served: Served) -> None:
    _error(served.client.get("/v1/completions"), 405)
    _error(served.client.post("/v1/embeddings", json={}), 404)
    _error(served.client.get("/invocations"), 404)


def test_models_are_listed_under_all_their_names(served: Served) -> None:
    data = served.client.get("/v1/models").json()["data"]
    assert [(entry["id"], entry["root"], entry["max_model_len"]) for entry in data] == [
        ("tiny", "/models/tiny", 1024),
        ("org/Tiny", "/models/tiny", 1024),
    ]


@pytest.mark.parametrize(
    ("options", "param"),
    [({"x": 1}, "stream_options.x"), ([], "stream_options"), ({"include_usage": 2}, "stream_options.include_usage")],
)
def test_stream_options_are_checked(served: Served, options: Any, param: str) -> None:
    _error(served.chat(stream=True, stream_options=options), 400, param)
    _error(served.chat(stream_options={"include_usage": True}), 400, "stream_options")


def test_template_arguments_of_a_request_cannot_replace_ours(served: Served) -> None:
    _error(served.chat(chat_template_kwargs={"bos_token": "x"}), 400, "chat_template_kwargs.bos_token")
    _error(served.chat(chat_template_kwargs={"messages": []}), 400, "chat_template_kwargs.messages")
    assert served.chat(chat_template_kwargs={"enable_thinking": False}).status_code == 200
