"""Embeddings from a real engine: OpenAI's shapes, the pooling that the repository states, and what is refused by name."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import openai
import pytest
from starlette.testclient import TestClient

from deployer.serve.config import Config
from deployer.serve.encoder import EncoderModel
from deployer.serve.errors import ConfigError
from deployer.serve.journal import Journal
from deployer.serve.pooling import read_pooling
from deployer.serve.single import SingleService, build_single_app
from tests.serve.bert import convert, tiny
from tests.serve.conftest import Process, Start


def config(model: Path, **settings: Any) -> Config:
    """One thread: this machine may have few."""
    return Config(
        **{"model_dir": str(model), "model_names": ("tiny",), "port": 0, "kind": "encoder", "intra_threads": 1, **settings}
    )


@pytest.fixture(scope="module")
def encoder_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("encoder")
    return convert(tiny(root / "source"), root / "made")


@pytest.fixture(scope="module")
def client(encoder_dir: Path) -> Iterator[TestClient]:
    service = SingleService(config(encoder_dir))
    service.load(lambda _: None)
    with TestClient(build_single_app(service, Journal(False)), raise_server_exceptions=False) as client:
        yield client


def ask(client: TestClient, given: Any, **fields: Any) -> list[Any]:
    answer = client.post("/v1/embeddings", json={"input": given, **fields})
    assert answer.status_code == 200, answer.text
    return [np.array(row["embedding"], np.float32) for row in answer.json()["data"]]


def refusal(client: TestClient, given: Any, **fields: Any) -> tuple[int, str]:
    answer = client.post("/v1/embeddings", json={"input": given, **fields})
    return answer.status_code, answer.json()["error"]["message"]


def test_the_openai_client_gets_the_same_vectors_packed_and_plain(start: Start, encoder_dir: Path) -> None:
    server: Process = start(model_dir=str(encoder_dir), kind="encoder", max_model_len=None, max_positions=64)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as api:
        packed = api.embeddings.create(model="tiny", input=["Hello", "a b c"])  # the client asks for base64 by itself
        plain = api.embeddings.create(model="tiny", input=["Hello", "a b c"], encoding_format="float")
        assert [one.embedding for one in packed.data] == [one.embedding for one in plain.data]
        assert [one.index for one in packed.data] == [0, 1]
        assert packed.usage.prompt_tokens == packed.usage.total_tokens == (2 + 5) + (2 + 3)
        with pytest.raises(openai.NotFoundError, match=r"makes embeddings.*/v1/embeddings"):
            api.completions.create(model="tiny", prompt="Hello")
        (one,) = [model for model in api.models.list() if model.id == "tiny"]
        assert (one.model_extra or {})["compute_type"] == "float32"
        assert (one.model_extra or {})["kind"] == "encoder"


def test_a_text_its_tokens_and_a_list_of_either_are_the_same(client: TestClient, encoder_dir: Path) -> None:
    ids = EncoderModel(config(encoder_dir)).encode("Hello there", None)
    (wanted,) = ask(client, "Hello there")
    for given in (["Hello there"], ids, [ids]):
        assert np.array_equal(ask(client, given)[0], wanted)
    assert np.isclose(np.linalg.norm(wanted), 1)


def test_vectors_are_the_mean_of_the_engines_own_tokens(client: TestClient, encoder_dir: Path) -> None:
    ids = EncoderModel(config(encoder_dir)).encode("one two three", None)
    hidden = np.array(ctranslate2.Encoder(str(encoder_dir)).forward_batch([ids]).last_hidden_state)[0]
    mean = hidden.mean(axis=0)
    assert np.allclose(ask(client, "one two three")[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_neighbours_of_other_lengths_change_nothing(client: TestClient) -> None:
    texts = ["x", "a much longer text than its neighbours have", "two words", "?"]
    together = ask(client, texts)
    for text, vector in zip(texts, together, strict=True):
        assert np.allclose(ask(client, text)[0], vector, atol=1e-5)


def test_many_at_once_get_each_their_own(client: TestClient) -> None:
    texts = [f"text {n} {'x' * (n % 9)}" for n in range(8)]
    alone = [ask(client, text)[0] for text in texts]
    with ThreadPoolExecutor(8) as pool:
        for one, wanted in zip(pool.map(lambda text: ask(client, text)[0], texts), alone, strict=True):
            assert np.allclose(one, wanted, atol=1e-5)


def test_what_is_too_long_is_refused_unless_it_may_be_cut(client: TestClient) -> None:
    long = "a " * 100
    assert refusal(client, long) == (
        400,
        "input has 102 tokens; this model reads at most 48. Shorten it, or send truncate_prompt_tokens: -1 to have it cut.",
    )
    cut = ask(client, long, truncate_prompt_tokens=-1)[0]
    assert np.allclose(cut, ask(client, "a " * 46)[0], atol=1e-5)  # with the special tokens at both ends
    assert np.allclose(ask(client, long, truncate_prompt_tokens=5)[0], ask(client, "a a a")[0], atol=1e-5)


@pytest.mark.parametrize(
    ("given", "fields", "says"),
    [
        ("x", {"dimensions": 16}, "dimensions: this model makes vectors of 32"),
        ("x", {"encoding_format": "hex"}, "encoding_format: float or base64"),
        ("x", {"temperature": 0}, "temperature: unknown"),
        ("x", {"truncate_prompt_tokens": 49}, "truncate_prompt_tokens: 49 is more than this model reads, 48"),
        ("x", {"truncate_prompt_tokens": True}, "truncate_prompt_tokens: a number"),
        ([], {}, "input: a text"), (None, {}, "input: a text"), ({"a": 1}, {}, "input: a text"),
        ([[]], {}, "input[0]: there is no token"), (["a", 3], {}, "input[1]: a text or a list of token ids"),
        ([300], {}, "300 is not a token of this model"), ([-1], {}, "-1 is not a token"), ([True], {}, "True is not a token"),
        (["a"] * 2049, {}, "2049 texts are too many"), ("\ud800", {}, "half of a surrogate pair"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_named(client: TestClient, given: Any, fields: dict[str, Any], says: str) -> None:
    answer = client.post("/v1/embeddings", content=json.dumps({"input": given, **fields}))
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


def test_other_models_and_other_kinds_are_not_found(client: TestClient) -> None:
    assert refusal(client, "x", model="gpt-4")[0] == 404
    assert client.post("/v1/nonsense", json={}).status_code == 404
    answer = client.post("/v1/audio/transcriptions", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "wrong_model_kind"


def test_the_metrics_say_what_it_computes_in_and_what_it_did(client: TestClient) -> None:
    before = _count(client, "vllm:request_success_total")
    ask(client, ["a", "b"])
    assert _count(client, "vllm:request_success_total") == before + 1
    assert 'kind="encoder",compute_type="float32",device="cpu"} 1.0' in client.get("/metrics").text


def _count(client: TestClient, name: str) -> float:
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name + "{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_a_queue_that_is_full_says_so(encoder_dir: Path) -> None:
    service = SingleService(config(encoder_dir, max_queue=1))
    service.load(lambda _: None)
    with TestClient(build_single_app(service, Journal(False))) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/embeddings", json={"input": ["a b c"] * 500}), range(16)))
    assert {answer.status_code for answer in answers} == {200, 429}
    assert {answer.headers.get("Retry-After") for answer in answers if answer.status_code == 429} == {"1"}


def test_a_decoder_is_not_served_as_an_encoder(start: Start) -> None:
    server = start(kind="encoder")
    assert server.wait() == 2
    server.line("holds a model that generates text, and it is to be served as one that makes embeddings: kind: generator")


Edit = Callable[[Path], Any]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda root: (root / "modules.json").unlink(), "does not say how the tokens' vectors are pooled"),
        (lambda root: (root / "modules.json").write_text("{}"), "a list of modules is wanted"),
        (lambda root: (root / "modules.json").write_text('[{"type": "st.models.Transformer"}, {"type": "st.models.Dense"}]'),
         "the module Dense is not supported"),
        (lambda root: (root / "1_Pooling/config.json").write_text('{"pooling_mode": "attention"}'), "'attention' is not known"),
    ],
)  # fmt: skip
def test_pooling_is_never_guessed(tmp_path: Path, edit: Edit, says: str) -> None:
    root = tiny(tmp_path / "model")
    edit(root)
    with pytest.raises(ConfigError, match=says):
        read_pooling(root, None, None)
    if "modules.json" in says or "vectors" in says:
        assert read_pooling(root, "cls", True).modes == ("cls",)


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"pooling_mode_cls_token": True}, [1.0, 8.0]),
        ({"pooling_mode": "max"}, [5.0, 8.0]),
        ({"pooling_mode_mean_tokens": True}, [3.0, 4.0]),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, [9 / 3**0.5, 12 / 3**0.5]),
        ({"pooling_mode_weightedmean_tokens": True}, [(1 + 6 + 15) / 6, (8 + 6 + 3) / 6]),
        ({"pooling_mode": ["lasttoken"]}, [5.0, 1.0]),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, [1.0, 8.0, 3.0, 4.0]),
    ],
)  # fmt: skip
def test_every_pooling_is_that_of_sentence_transformers(tmp_path: Path, config: dict[str, Any], wanted: list[float]) -> None:
    root = tiny(tmp_path / "model")
    (root / "1_Pooling/config.json").write_text(json.dumps(config))
    hidden = np.array([[[1, 8], [3, 3], [5, 1], [99, 99]]], np.float32)  # the last is padding
    assert np.allclose(read_pooling(root, None, False).pool(hidden, [3])[0], wanted)


def test_the_default_prompt_of_the_repository_is_put_before_every_text(tmp_path: Path) -> None:
    root = tiny(tmp_path / "source")
    (root / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q: "}, "default_prompt_name": "query"}')
    assert read_pooling(root, None, None).prompt == "q: "
