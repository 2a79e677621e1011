"""Translations over real tiny models: Marian with its sentencepiece tokenizers, NLLB with languages in every request."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ctranslate2
import openai
import pytest
from sentencepiece import SentencePieceProcessor
from starlette.testclient import TestClient

from deployer.engines.ctranslate2_kinds import inference
from deployer.serve.config import Config
from deployer.serve.errors import ConfigError
from deployer.serve.journal import Journal
from deployer.serve.single import SingleService, build_single_app
from deployer.serve.translator import TranslatorModel
from tests.serve.conftest import Start

TINY = Path(__file__).parent / "tiny"
NLLB = {"family": "M2M100", "source_language": "eng_Latn", "target_language": "deu_Latn"}
Open = Callable[..., TestClient]


def config(name: str, **settings: Any) -> Config:
    base: dict[str, Any] = {"model_dir": str(TINY / name), "model_names": ("tiny",), "port": 0, "kind": "translator"}
    return Config(**{**base, "intra_threads": 1, "max_positions": 64, **settings})


@pytest.fixture(scope="module")
def served() -> Iterator[Open]:
    opened: dict[str, TestClient] = {}

    def begin(name: str, **settings: Any) -> TestClient:
        if name not in opened:
            service = SingleService(config(name, **settings))
            service.load(lambda _: None)
            opened[name] = TestClient(build_single_app(service, Journal(False)), raise_server_exceptions=False)
            opened[name].__enter__()
        return opened[name]

    yield begin
    for client in opened.values():
        client.__exit__()


def texts(client: TestClient, text: Any, **fields: Any) -> list[str]:
    answer = client.post("/v1/translate", json={"text": text, "max_tokens": 12, **fields})
    assert answer.status_code == 200, answer.text
    return [row["text"] for row in answer.json()["data"]]


def refused(client: TestClient, **body: Any) -> str:
    answer = client.post("/v1/translate", json={"text": "Hello", **body})
    assert answer.status_code == 400
    return str(answer.json()["error"]["message"])


def test_marian_gets_the_tokens_that_its_tokenizer_makes(served: Open) -> None:
    client = served("marian")
    pieces = SentencePieceProcessor(model_file=str(TINY / "marian/source.spm"))
    engine = ctranslate2.Translator(str(TINY / "marian"))
    given = [*pieces.encode("A GPU is fast.", out_type=str), "</s>"]
    wanted = engine.translate_batch([given], beam_size=2, max_decoding_length=12)[0].hypotheses[0]
    assert texts(client, "A GPU is fast.") == [pieces.decode(wanted)]
    marked = engine.translate_batch([[">>fra<<", *given]], beam_size=2, max_decoding_length=12)[0].hypotheses[0]
    assert texts(client, "A GPU is fast.", target_language="fra") == [pieces.decode(marked)]
    assert refused(client, target_language="xyz") == "target_language: 'xyz' is no language of this model"


def test_nllb_is_told_both_languages(served: Open) -> None:
    client = served("nllb", **NLLB)
    engine = ctranslate2.Translator(str(TINY / "nllb"))
    [result] = engine.translate_batch(
        [["fra_Latn", "▁", "a", "b", "</s>"]], target_prefix=[["eng_Latn"]], beam_size=2, max_decoding_length=12
    )
    model = TranslatorModel(config("nllb", **NLLB))
    assert model.source("ab", "fra_Latn", "eng_Latn").tokens == ["fra_Latn", "▁", "a", "b", "</s>"]
    assert texts(client, "ab", source_language="fra_Latn", target_language="eng_Latn") == [model._text(result.hypotheses[0][1:])]
    assert texts(client, "ab") == texts(client, "ab", source_language="eng_Latn", target_language="deu_Latn")
    assert refused(client, target_language="klingon") == "target_language: 'klingon' is no language of this model"


def test_a_list_is_answered_in_its_order(served: Open) -> None:
    client = served("nllb", **NLLB)
    given = ["a", "bcd efg hij", "x y", "a"]
    together = texts(client, given)
    assert together == [texts(client, text)[0] for text in given]
    assert together[0] == together[3]


def test_a_language_is_wanted_where_there_are_many() -> None:
    with pytest.raises(ConfigError, match="source_language: 'english' is no language"):
        TranslatorModel(config("nllb", family="M2M100", source_language="english", target_language="deu_Latn"))


def test_the_openai_client_translates_by_chatting(start: Start) -> None:
    server = start(model_dir=str(TINY / "nllb"), kind="translator", max_positions=64, max_model_len=None, **NLLB)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as api:
        extra = {"target_language": "fra_Latn"}
        said: Any = [{"role": "user", "content": "Hello"}]
        whole = api.chat.completions.create(model="tiny", messages=said, max_tokens=8, extra_body=extra)
        pieces = api.chat.completions.create(model="tiny", messages=said, max_tokens=8, extra_body=extra, stream=True)
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole.choices[0].message.content
        assert whole.usage is not None
        assert whole.usage.completion_tokens <= 8
        with pytest.raises(openai.NotFoundError, match="translates text"):
            api.completions.create(model="tiny", prompt="x")


def test_the_question_at_the_start_is_answered(served: Open) -> None:
    asked = inference("tiny", "translator")
    for client in (served("marian"), served("nllb", **NLLB)):
        assert client.post(asked["path"], json=asked["body"]).status_code == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"text": ""}, "text: a text that is not empty"), ({"text": []}, "text: a text or a list"),
        ({"text": 3}, "text: a text or a list"),
        ({"text": ["a", None]}, "text[1]: a text that is not empty"),
        ({"beam_size": 0}, "beam_size: a whole number from 1 to 16"),
        ({"max_tokens": True}, "max_tokens: a whole number"), ({"temperature": 0.5}, "temperature: unknown"),
        ({"source_language": 3}, "source_language: a language"), ({"text": "x " * 100}, "this model reads at most 64"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_named(served: Open, body: dict[str, Any], says: str) -> None:
    assert says in refused(served("nllb", **NLLB), **body)
