"""Whatever comes in: an answer or a refusal in OpenAI's shape, and nothing left behind."""

import dataclasses
import json
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.serve.chat import ChatTemplate
from deployer.serve.fields import CHAT, COMPLETION
from deployer.serve.model import Model
from tests.serve.conftest import Process
from tests.serve.scripted import Served, says
from tests.serve.test_process import _health, _post
from tests.serve.test_protocol import _error

_NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([0, 1, -1, 2**31, 2**63, 1e-7, 1e308]))
_TEXTS = st.text(st.characters(), max_size=8)  # with halves of surrogate pairs
_ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXTS, inner, max_size=3)),
    max_leaves=6,
)


def _bodies(fields: frozenset[str]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.one_of(st.sampled_from(sorted(fields)), _TEXTS)
    return st.dictionaries(names, _ANY, max_size=4)


@pytest.fixture(scope="module")
def served(model: Model) -> Served:
    return Served(model, says(model, "ok"), log_requests=False)


def _is_fine(served: Served, path: str, body: dict[str, Any]) -> None:
    response = served.client.post(path, content=json.dumps(body).encode())
    if response.headers["content-type"].startswith("text/event-stream"):
        assert response.text.endswith("data: [DONE]\n\n")
    elif response.status_code != 200:
        assert response.status_code in (400, 404, 429), response.text
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert served.service.busy == 0


@settings(max_examples=120)
@given(body=_bodies(COMPLETION))
def test_any_completion_is_answered_or_refused(served: Served, body: dict[str, Any]) -> None:
    _is_fine(served, "/v1/completions", {"prompt": "x", **body})


@settings(max_examples=120)
@given(body=_bodies(CHAT))
def test_any_chat_is_answered_or_refused(served: Served, body: dict[str, Any]) -> None:
    _is_fine(served, "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], **body})


@settings(max_examples=60)
@given(body=st.dictionaries(st.sampled_from(["prompt", "tokens", "messages", "add_special_tokens", "model"]), _ANY, max_size=3))
def test_any_question_about_tokens_is_answered_or_refused(served: Served, body: dict[str, Any]) -> None:
    for path in ("/tokenize", "/detokenize"):
        _is_fine(served, path, body)


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "x", "\ud800": 1},
        {"prompt": "\ud800"},
        {"prompt": "x", "model": "\ud800"},
        {"prompt": "x", "logit_bias": {"\ud800": 1}},
    ],
)
def test_half_a_character_is_refused_wherever_it_stands(served: Served, body: dict[str, Any]) -> None:
    response = served.client.post("/v1/completions", content=json.dumps(body).encode())
    assert response.status_code in (400, 404), response.text
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_half_a_character_in_a_stop_text_is_never_found(served: Served) -> None:
    assert served.client.post("/v1/completions", content=b'{"prompt": "x", "stop": "\\ud800"}').status_code == 200


@settings(max_examples=60)
@given(raw=st.binary(max_size=60))
def test_any_bytes_are_refused(served: Served, raw: bytes) -> None:
    response = served.client.post("/v1/completions", content=raw)
    assert (response.status_code, set(response.json())) == (400, {"error"})


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"])
def test_ten_megabytes_are_too_many(served: Served, path: str) -> None:
    body = json.dumps({"prompt": "x" * 10 * 1024 * 1024}).encode()
    assert _error(served.client.post(path, content=body), 413)["code"] == "body_too_large"


def test_a_long_text_below_that_is_counted_and_refused_in_tokens(served: Served) -> None:
    error = _error(served.client.post("/v1/completions", json={"prompt": "word " * 20_000}), 400)
    assert error["code"] == "context_length_exceeded"
    assert "20001" in error["message"] or "tokens" in error["message"]


@pytest.mark.parametrize(
    ("template", "says_so"),
    [
        ("{{ raise_exception('only one message') }}", "only one message"),
        ("{{ messages[5].content }}", "messages"),
        ("{{ 1 // 0 }}", "division"),
        ("{{ messages.append(1) }}", "messages"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{% for i in range(10**9) %}x{% endfor %}", "big"),
    ],
)
def test_a_template_that_raises_is_a_refusal_in_its_words(model: Model, template: str, says_so: str) -> None:
    bad = Served(dataclasses.replace(model, template=ChatTemplate(template, {})), says(model, "ok"))
    message = _error(bad.chat(), 400, "messages")["message"]
    assert message.startswith("messages: the model's chat template refuses them: ")
    assert says_so in message


def test_a_model_without_a_template_says_what_to_use(model: Model) -> None:
    plain = Served(dataclasses.replace(model, template=None), says(model, "ok"))
    assert "/v1/completions" in _error(plain.chat(), 400, "messages")["message"]
    assert "/v1/completions" in _error(plain.client.post("/tokenize", json={"messages": []}), 400, "messages")["message"]
    assert plain.client.post("/v1/completions", json={"prompt": "x"}).status_code == 200
    assert "chat_template" not in plain.client.get("/tokenizer_info").json() or model.settings.get("chat_template")


def _connect(server: Process) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), 30)


def test_many_connections_that_say_nothing_disturb_nobody(server: Process) -> None:
    idle = [_connect(server) for _ in range(300)]
    half = idle[:100]
    for connection in half:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert _health(server.url) == 200
    with _post(server.url, {"prompt": "Once", "max_tokens": 3}) as response:
        assert response.status == 200
        response.read()
    for connection in idle:
        connection.close()
    assert _health(server.url) == 200


def test_a_client_that_reads_nothing_keeps_nobody_waiting(server: Process) -> None:
    slow = _connect(server)
    body = json.dumps({"prompt": "Once", "max_tokens": 300, "ignore_eos": True, "stream": True, "temperature": 0}).encode()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    slow.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert slow.recv(64).startswith(b"HTTP/1.1 200")  # and no more than that
    with _post(server.url, {"prompt": "Once", "max_tokens": 3, "temperature": 0}) as response:
        assert response.status == 200
        response.read()
    slow.close()
    assert _health(server.url) == 200
