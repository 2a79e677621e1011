"""Defaults that vLLM cannot hold reach a request that does not say its own, and never replace what it says."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.engines.vllm_defaults import middleware_source

CHAT = "/v1/chat/completions"
DEFAULTS = {"stop": ["</s>"], "max_tokens": 64, "seed": 7}


def sent(
    body: bytes, path: str = CHAT, method: str = "POST", pieces: int = 1, defaults: Any = None
) -> tuple[bytes, dict[bytes, bytes]]:
    """What the application behind the middleware reads: body and headers."""
    module: dict[str, Any] = {}
    exec(middleware_source(DEFAULTS if defaults is None else defaults), module)
    read: list[tuple[bytes, dict[bytes, bytes]]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        whole, more = b"", True
        while more:
            message = await receive()
            whole, more = whole + message["body"], message["more_body"]
        assert (await receive())["type"] == "http.disconnect", "the client's leaving is still heard"
        read.append((whole, dict(scope["headers"])))

    step = max(1, -(-len(body) // pieces))
    parts = [body[i : i + step] for i in range(0, len(body), step)] or [b""]
    messages = [{"type": "http.request", "body": p, "more_body": i + 1 < len(parts)} for i, p in enumerate(parts)]
    queue = [*messages, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return queue.pop(0)

    headers = [(b"content-length", str(len(body)).encode()), (b"x-request-id", b"1")]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(module["RequestDefaults"](app)(scope, receive, None))
    return read[0]


def request(body: dict[str, Any], path: str = CHAT) -> dict[str, Any]:
    read = json.loads(sent(json.dumps(body).encode(), path)[0])
    assert isinstance(read, dict)
    return read


def test_a_request_that_says_nothing_gets_the_defaults() -> None:
    assert request({"messages": []}) == {"messages": [], **DEFAULTS}
    assert request({"messages": [], "stop": None, "max_tokens": None}) == {"messages": [], **DEFAULTS}


def test_what_a_request_says_stays_a_smaller_or_larger_length_and_no_stop_included() -> None:
    own = {"stop": [], "max_tokens": 4096, "seed": 0}
    assert request(own) == own


@pytest.mark.parametrize(
    ("path", "said"), [(CHAT, "max_completion_tokens"), (CHAT, "max_tokens"), ("/v1/responses", "max_output_tokens")]
)
def test_a_length_under_another_name_counts_as_said(path: str, said: str) -> None:
    read = request({said: 9}, path)
    assert {name: read[name] for name in read if name.startswith("max")} == {said: 9}


def test_each_path_gets_the_length_under_its_own_name() -> None:
    assert request({}, "/v1/responses")["max_output_tokens"] == 64
    assert request({}, "/v1/completions")["max_tokens"] == 64


def test_the_length_of_the_body_is_told_anew_and_other_headers_stay() -> None:
    body, headers = sent(b'{"messages": []}', pieces=4)
    assert headers == {b"content-length": str(len(body)).encode(), b"x-request-id": b"1"}


@pytest.mark.parametrize("body", [b"", b"{nope", b"[1]", b'"x"', b"\xff\xfe"])
def test_what_is_no_request_goes_on_as_it_is(body: bytes) -> None:
    assert sent(body)[0] == body


@pytest.mark.parametrize(("path", "method"), [("/v1/embeddings", "POST"), ("/v1/models", "GET"), (CHAT, "OPTIONS")])
def test_other_requests_are_left_alone(path: str, method: str) -> None:
    assert sent(b'{"input": "x"}', path, method)[0] == b'{"input": "x"}'


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@given(st.lists(TEXT, min_size=1, max_size=3))
def test_any_text_can_be_a_stop_sequence(stop: list[str]) -> None:
    assert json.loads(sent(b"{}", defaults={"stop": stop})[0]) == {"stop": stop}
