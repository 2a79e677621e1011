"""Kinds of models: found from the architecture, held against the converter's own registry and our server's routes."""

import ast
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from deployer.engines import ENGINES
from deployer.engines.ctranslate2_families import FAMILIES, KINDS
from deployer.engines.ctranslate2_kinds import ROUTES
from deployer.serve import kinds as served
from deployer.serve.config import parse_config
from tests.engines.builders import CPU_SLOT, deployment, model

CT2 = ENGINES["ctranslate2"]
ENCODER = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "modules.json",
    "1_Pooling/config.json",
    "2_Normalize/config.json",
)


def refused(settings: dict[str, Any], *files: str, **facts: Any) -> list[str]:
    found = CT2.check_model(deployment("ctranslate2", settings), model(*files, **facts))
    return [f"{'.'.join(map(str, c.path))}: {c.message} [{c.hint}]" for c in found]


def registered() -> set[str]:
    """What the converter of the installed wheel has a loader for; read, not imported: it wants torch."""
    spec = importlib.util.find_spec("ctranslate2")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse((Path(spec.origin).parent / "converters" / "transformers.py").read_text(encoding="utf-8"))
    calls = [decorator for node in tree.body if isinstance(node, ast.ClassDef) for decorator in node.decorator_list]
    return {call.args[0].value for call in calls if isinstance(call, ast.Call) and isinstance(call.args[0], ast.Constant)}


def test_every_family_of_the_converter_is_in_the_table_and_no_other() -> None:
    assert {family.config for family in FAMILIES} == registered()
    names = [name for family in FAMILIES for name in family.architectures]
    assert len(names) == len(set(names))


def test_engine_and_server_agree_on_kinds_and_routes() -> None:
    assert served.KINDS == KINDS
    assert served.ROUTES == ROUTES


@pytest.mark.parametrize(
    ("architecture", "settings", "kind"),
    [
        ("BertModel", {"pooling": "cls"}, "encoder"),
        ("WhisperForConditionalGeneration", {}, "whisper"),
        ("T5ForConditionalGeneration", {}, "translator"),
        ("Qwen3ForCausalLM", {}, "generator"),
    ],
)
def test_the_architecture_decides_what_is_served_and_asked(architecture: str, settings: dict[str, Any], kind: Any) -> None:
    spec, locked = deployment("ctranslate2", settings), model(architectures=(architecture,))
    assert CT2.check_model(spec, locked) == ()
    process = CT2.process(spec, locked, CPU_SLOT)
    tokens = ("/tokenize", "/detokenize", "/tokenizer_info") if kind == "generator" else ()
    assert process.paths == (*ROUTES[kind], *tokens, "/v1/models")
    assert process.inference["path"] in process.paths
    assert parse_config(json.loads(process.files[0].content)).kind == kind


def test_what_an_encoder_is_told() -> None:
    locked = model(architectures=("XLMRobertaModel",), context=514)
    process = CT2.process(deployment("ctranslate2", {"pooling": "mean", "normalize": True}), locked, CPU_SLOT)
    told = parse_config(json.loads(process.files[0].content))
    assert (told.pooling, told.normalize, told.max_positions, told.max_model_len) == ("mean", True, 512, None)
    assert process.inference == {"path": "/v1/embeddings", "body": {"model": "chat", "input": "Hello"}}


def test_the_modules_of_a_repository_come_along_and_keep_their_places() -> None:
    made = CT2.conversion(deployment("ctranslate2"), model(*ENCODER, architectures=("BertModel",)))
    assert made is not None
    assert made.nested == ("1_Pooling/config.json", "2_Normalize/config.json")
    assert made.argv[made.argv.index("--copy_files") + 1 :] == ("tokenizer.json", "modules.json")
    assert refused({}, *ENCODER, architectures=("BertModel",)) == []


@pytest.mark.parametrize(
    ("settings", "files", "facts", "says"),
    [
        ({}, (), {"architectures": ("MPNetModel",)}, "model: CTranslate2 4.8.5 has no converter for MPNetModel"),
        ({}, (), {"architectures": ("BertForSequenceClassification",)}, "no converter for BertForSequenceClassification"),
        ({}, (), {"architectures": ("Wav2Vec2ForCTC",)}, "converts Wav2Vec2ForCTC, and deployer's server does not serve"),
        ({}, (), {"architectures": ("BertModel",)}, "it has no modules.json [engine: {ctranslate2: {pooling: mean}}"),
        ({"kind": "whisper"}, ENCODER, {"architectures": ("BertModel",)}, "kind: BertModel is an encoder, not a Whisper model"),
        ({"pooling": "cls"}, (), {}, "engine.ctranslate2.pooling: only an encoder has pooling, and kind is generator"),
        ({}, (), {"architectures": ("M2M100ForConditionalGeneration",)}, "target_language: acme/tiny translates between many"),
        ({}, (), {"quantization": "awq"}, "with AWQ's weights of 4 bits on NVIDIA GPUs only"),
        ({"quantization": "int8", "device": "cuda"}, (), {"quantization": "awq"}, "quantized already, with AWQ"),
    ],
)
def test_what_it_cannot_serve_is_refused_by_name(settings: Any, files: Any, facts: Any, says: str) -> None:
    [complaint] = refused(settings, *files, **facts)
    assert says in complaint


def test_a_model_that_is_converted_already_is_what_the_deployment_says() -> None:
    locked = model("model.bin", "config.json", "tokenizer.json", architectures=())
    spec = deployment("ctranslate2", {"kind": "whisper"})
    assert CT2.check_model(spec, locked) == ()
    assert CT2.conversion(spec, locked) is None
    assert CT2.process(spec, locked, CPU_SLOT).paths[0] == "/v1/audio/transcriptions"
