"""A share of a GPU, against what each engine does with its GPUs."""

import re
from typing import Any

import pytest
import yaml

from deployer.engines import ENGINES, logs, sharing
from deployer.engines.memory import memory_settings
from deployer.spec.models import Placement
from tests.engines.builders import GPU_SLOT, deployment, messages, model

VLLM = ENGINES["vllm"]


def said(engine: str, settings: dict[str, Any] | None = None, **placement: Any) -> list[str]:
    spec = deployment(engine, settings, placement=Placement(gpu_share="30%", **placement))
    return [c.message for c in sharing.complaints(spec, ENGINES[engine].gpus(spec))]


def test_vllm_takes_its_share_and_no_more() -> None:
    process = VLLM.process(deployment("vllm", placement=Placement(gpu_share="35%")), model(), GPU_SLOT)
    assert yaml.safe_load(process.files[0].content)["gpu-memory-utilization"] == 0.35
    assert process.runtime["gpu_memory_utilization"] == 0.35
    assert process.sources["gpu_memory_utilization"] == ("placement", "gpu_share")


def test_a_utilization_that_says_something_else_is_refused_and_the_same_is_not() -> None:
    place = Placement(gpu_share="30%")
    assert messages("vllm", {"gpu_memory_utilization": 0.5}, placement=place) == [
        "engine.vllm.gpu_memory_utilization: gpu_memory_utilization 0.5 is not the placement's gpu_share of 30%"
        " [leave it out: vLLM then takes the share]"
    ]
    assert messages("vllm", {"gpu_memory_utilization": 0.3}, placement=place) == []
    assert messages("vllm", {}, placement=place) == []


def test_what_to_do_about_memory_is_said_where_the_share_stands() -> None:
    shared = logs.of(logs.named(deployment("vllm", placement=Placement(gpu_share="35%")))).failures
    alone = logs.of(logs.named(deployment("vllm"))).failures
    assert [f.regex for f in shared] == [f.regex for f in alone]
    assert not any("gpu_memory_utilization" in (f.hint or "") for f in shared)
    assert any(re.match("placement.gpu_share: higher", f.hint or "") for f in shared)


@pytest.mark.parametrize("engine", ["ctranslate2", "transformers", "llamacpp"])
def test_of_engines_that_keep_to_no_share_the_fit_is_asked_for_it(engine: str) -> None:
    settings = memory_settings(deployment(engine, placement=Placement(gpus=1, gpu_share="30%")))
    assert settings is not None
    assert (settings.share, settings.utilization) == (0.3, 1.0)


@pytest.mark.parametrize(
    ("engine", "settings", "placement", "wrong"),
    [
        ("vllm", {}, {}, None),
        ("vllm", {"tensor_parallel": 2}, {}, None),
        ("ctranslate2", {}, {"gpus": 2}, None),
        ("vllm", {"variant": "cpu"}, {}, "gpu_share is a share of a GPU, and this replica gets none"),
        ("ctranslate2", {}, {}, "gpu_share is a share of a GPU, and this replica gets none"),
        ("transformers", {}, {"gpus": 1}, None),
        ("transformers", {}, {"gpus": 2}, "transformers spreads a model over 2 GPUs by what is free"),
        ("llamacpp", {}, {"gpus": 2}, "llamacpp spreads a model over 2 GPUs by what is free"),
    ],
)
def test_a_share_wants_a_gpu_and_an_engine_that_keeps_to_one(
    engine: str, settings: dict[str, Any], placement: dict[str, Any], wrong: str | None
) -> None:
    found = said(engine, settings, **placement)
    assert [one.startswith(wrong) for one in found] == [True] if wrong is not None else found == []


@pytest.mark.parametrize(
    ("engine", "settings", "gpus", "wrong"),
    [
        ("vllm", {"variant": "cpu"}, None, True),
        ("ctranslate2", {"device": "cpu"}, None, True),
        ("ctranslate2", {}, None, True),
        ("ctranslate2", {}, 1, False),
        ("llamacpp", {"device": "cuda"}, None, False),
        ("vllm", {}, None, False),
    ],
)
def test_rules_about_gpus_want_a_replica_that_gets_one(
    engine: str, settings: dict[str, Any], gpus: int | None, wrong: bool
) -> None:
    spec = deployment(engine, settings, placement=Placement(gpu="H100", gpu_memory=40 << 30, gpus=gpus))
    found = [(c.path, c.message) for c in sharing.complaints(spec, ENGINES[engine].gpus(spec))]
    rules = ("gpu", "gpu_memory") if wrong else ()
    assert found == [(("placement", rule), f"placement.{rule} has no effect: this replica gets no GPU") for rule in rules]


@pytest.mark.parametrize(
    ("engine", "settings", "share"),
    [
        ("vllm", {}, 0.92),
        ("vllm", {"gpu_memory_utilization": 0.5}, 0.5),
        ("vllm", {"args": {"enforce_eager": True}}, 0.92),
        ("vllm", {"args": {"--kv_cache_memory_bytes": 1 << 30}}, None),  # it looks at no share then
        ("vllm", {"args": {"kv-cache-memory-bytes": "1GiB"}}, 0.92),
        ("ctranslate2", {}, None),
        ("llamacpp", {}, None),
        ("transformers", {}, None),
    ],
)
def test_what_is_taken_at_once_is_the_share_of_those_whose_cache_is_one_pool(
    engine: str, settings: dict[str, Any], share: float | None
) -> None:
    spec = deployment(engine, settings, placement=Placement(gpus=1))
    found = memory_settings(spec)
    assert found is not None
    assert (found.utilization if found.paged and found.cache_bytes is None else None) == share
