"""Transformers and predictors: what of a request and an answer they see, and what their errors become."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.handler.answer import DONE, EVENTS, Answer, Problem, event
from deployer.handler.config import ConfigError, config_of
from deployer.handler.counters import Counters
from deployer.handler.events import Cutter, Whole, as_stream, payload
from deployer.handler.predict import Predictor
from deployer.handler.scripts import Message, Script
from deployer.handler.transform import Transformer
from tests.handler.conftest import CHUNKS
from tests.handler.process import content, events


def test_a_request_and_its_answer_are_changed(transformed):
    status, answer = transformed.chat("hello")
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "hello please! chat/7 calm/v1/chat/completions"


def test_a_stream_without_a_function_for_chunks_is_the_whole_answer_in_one_piece(transformed):
    status, answer = transformed.chat("hello", stream=True, stream_options={"include_usage": True})
    found = events(answer)
    assert status == 200
    assert content(found) == "hello please! chat/7 calm/v1/chat/completions"
    assert found[-1]["usage"]["prompt_tokens"] == 3
    assert found[0]["object"] == "chat.completion.chunk"


def test_a_request_can_be_refused_in_the_scripts_own_words(transformed):
    status, answer = transformed.chat("forbidden")
    assert (status, answer["error"]["message"], answer["error"]["type"]) == (
        422,
        "this word is not for here",
        "invalid_request_error",
    )


def test_an_error_in_a_request_is_a_500_that_tells_nothing_and_a_traceback_in_the_log(transformed):
    status, answer = transformed.chat("broken")
    assert status == 500
    assert answer["error"]["code"] == "script_error"
    assert "poison" not in json.dumps(answer)
    assert "t.py, line 13, in preprocess: KeyError: 'poison in the script'" in transformed.wait_line(
        "error in transformer.preprocess"
    )
    assert b'deployer_handler_script_errors_total{where="transformer.preprocess"} 1' in transformed.ask("GET", "/metrics")[2]
    assert transformed.chat("hello")[0] == 200


def test_what_is_no_json_is_refused_before_the_script_sees_it(transformed):
    kind = {"Content-Type": "application/json"}
    for body in (b"{", b"[1]", b"\xff", b"[" * 100_000):
        status, _, answer = transformed.ask("POST", "/v1/chat/completions", body, kind)
        assert (status, json.loads(answer)["error"]["type"]) == (400, "invalid_request_error")


def test_each_chunk_can_be_changed_and_an_error_ends_the_stream(tmp_path):
    (tmp_path / "t.py").write_text(CHUNKS)
    script = Script("transformer", str(tmp_path), "t.py", ThreadPoolExecutor(1), Counters())

    async def run(text):
        await script.load()
        chunks = [{"choices": [{"delta": {"content": word}}]} for word in text]

        async def engine(_):
            return Answer(200, {"Content-Type": EVENTS}, chunks=_list([b": a comment\n\n", *map(event, chunks), DONE]))

        answer = await Transformer(script).run(Message(stream=True), engine)
        return b"".join([chunk async for chunk in answer.chunks])

    good, bad = (asyncio.run(run(text)) for text in (["one", " two"], ["one", " bad", " three"]))
    assert good.startswith(b": a comment\n\n")
    assert content(events(good.partition(b"\n\n")[2])) == "ONE TWO"
    found = events(bad.partition(b"\n\n")[2])
    assert found[-1]["error"]["code"] == "script_error"
    assert content(found[:-1]) == "ONE"


async def _list(chunks):
    for chunk in chunks:
        yield chunk


PREDICTOR = """
import asyncio
class Predictor:
    async def load(self):
        self.loaded = True
    def predict(self, request):
        assert self.loaded
        kind = request.get("kind")
        if kind == "text":
            return "a text"
        if kind == "pieces":
            return (word for word in ("a ", "b"))
        if kind == "breaks":
            return self.breaks()
        if kind == "nonsense":
            return {1, 2}
        return {"sum": sum(request["inputs"])}
    def breaks(self):
        yield {"n": 1}
        raise ValueError("half way")
"""


def _predictor(folder, text=PREDICTOR):
    (folder / "p.py").write_text(text)
    config = config_of({"deployment": "sums", "port": 1, "predictor": "p.py", "paths": ["/v1/predict", "/v1/chat/completions"]})
    counters = Counters()
    script = Script("predictor", str(folder), "p.py", ThreadPoolExecutor(1), counters)
    return Predictor(script, config), script, counters


def _ask(folder, path="/v1/predict", text=PREDICTOR, **body):
    predictor, script, counters = _predictor(folder, text)

    async def ask():
        await script.load()
        message = Message(body)
        message.path, message.id = path, "r1"
        answer = await predictor.ask(message)
        return answer.body if answer.chunks is None else b"".join([chunk async for chunk in answer.chunks])

    return asyncio.run(ask()), counters


def test_a_predictor_gives_json_texts_and_streams(tmp_path):
    assert json.loads(_ask(tmp_path, inputs=[1, 2])[0]) == {"sum": 3}
    assert json.loads(_ask(tmp_path, kind="text")[0]) == {"output": "a text"}
    chat = json.loads(_ask(tmp_path, "/v1/chat/completions", kind="text")[0])
    assert chat["choices"][0]["message"] == {"role": "assistant", "content": "a text"}
    chat = json.loads(_ask(tmp_path, "/v1/chat/completions", kind="pieces")[0])
    assert chat["choices"][0]["message"]["content"] == "a b"
    assert content(events(_ask(tmp_path, "/v1/chat/completions", kind="pieces", stream=True)[0])) == "a b"
    assert [e["output"] for e in events(_ask(tmp_path, kind="pieces", stream=True)[0])] == ["a ", "b"]


def test_errors_of_a_predictor_are_counted_and_end_a_stream(tmp_path):
    found, counters = _ask(tmp_path, kind="breaks", stream=True)
    assert [sorted(e) for e in events(found)] == [["n"], ["error"]]
    assert 'deployer_handler_script_errors_total{where="predictor.predict"} 1' in counters.text()
    for body in ({"kind": "nonsense"}, {"inputs": "text"}):
        with pytest.raises(Problem) as caught:
            _ask(tmp_path, **body)
        assert caught.value.status == 500
    with pytest.raises(Problem) as caught:
        _ask(tmp_path, "/v1/other")
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "p.py has no class Predictor"),
        ("def broken(:", "p.py, line 1: SyntaxError: invalid syntax"),
        ("class Predictor:\n    def __init__(self):\n        raise SystemExit(3)", "p.py, line 3, in __init__: SystemExit: 3"),
    ],
)
def test_what_cannot_be_loaded_is_named_by_line(tmp_path, text, said, capfd):
    with pytest.raises(Exception, match="predictor: ") as caught:
        _ask(tmp_path, text=text)
    assert said in str(caught.value)


def test_a_configuration_with_something_unknown_is_refused():
    with pytest.raises(ConfigError, match="has no prot"):
        config_of({"deployment": "a", "port": 1, "prot": 2})
    with pytest.raises(ConfigError, match="one of upstream and predictor"):
        config_of({"deployment": "a", "port": 1})


_text = st.text(max_size=8)
_choice = st.fixed_dictionaries(
    {"message": st.fixed_dictionaries({"role": st.just("assistant"), "content": _text}), "finish_reason": st.just("stop")}
)


@settings(max_examples=40)
@given(st.lists(_choice, min_size=1, max_size=3), st.integers(1, 7))
def test_an_answer_made_a_stream_and_put_together_again_is_the_same(choices, size):
    answer = {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": n, **c} for n, c in enumerate(choices)],
        "usage": {"n": 1},
    }
    stream = b"".join(as_stream(answer, usage=True))
    cutter, whole = Cutter(), Whole()
    cut = [one for start in range(0, len(stream), size) for one in cutter.feed(stream[start : start + size])]
    for one in [*cut, *cutter.end()]:
        found = payload(one)
        if found is not None:
            whole.add(found)
    assert whole.answer() == answer
