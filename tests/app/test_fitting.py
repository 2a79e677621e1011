"""Which hosts could serve a model: kinds of GPUs, what stands on them, engines that read it."""

from dataclasses import replace
from typing import Any

import pytest

from deployer.app.fitting import Survey, Way, Wish, deployment, occupied, survey
from deployer.engines import ENGINES
from deployer.errors import UsageError
from deployer.plan.conversions import memory_needed
from deployer.plan.fit import GIB
from deployer.spec.models import EngineChoice, HostSpec
from deployer.state.locked import LockedFile, LockedModel, ModelFacts
from deployer.state.observed import Reached, Unreached
from tests.plan import models
from tests.plan.worlds import probe

FILES = (LockedFile("config.json", 10, ""), LockedFile("model.safetensors", 10, ""), LockedFile("tokenizer.json", 10, ""))


def model(facts: ModelFacts) -> LockedModel:
    named = replace(facts, architectures=("LlamaForCausalLM",))
    return LockedModel("hub:org/m@main", "hub", "org/m", "main", "0" * 40, "d", FILES, named)


def gpu(number: int, memory: float, name: str = "NVIDIA L4", **more: Any) -> dict[str, Any]:
    return {"index": number, "uuid": f"GPU-{number}", "name": name, "memory_total": int(memory * GIB), "memory_used": 0, **more}


def host(*gpus: dict[str, Any], **more: Any) -> Reached:
    return Reached("h1", {**probe("h1", memory_total=64 * GIB), "gpus": list(gpus), **more})  # type: ignore[typeddict-item]


def asked(reached: Reached | Unreached, facts: ModelFacts = models.LLAMA_3_8B, **wish: Any) -> Survey:
    return survey(model(facts), Wish(**{"engine": "vllm", "context": 8192, **wish}), {"h1": reached})


def only(found: Survey) -> Way:
    (way,) = found.ways
    return way


def test_each_kind_of_gpu_is_a_way_of_its_own_and_what_serves_comes_first() -> None:
    found = asked(host(gpu(0, 12, "small"), gpu(1, 80, "H100"), gpu(2, 12, "small")))
    assert [(way.device, way.verdict, way.gpus) for way in found.ways] == [("H100", "fits", 1), ("small", "fits", 2)]
    assert found.best("h1") == found.ways[0]


@pytest.mark.parametrize(
    "more",
    [
        {"records": {"a": {"deployment": "a", "revision": 1, "resources": [{"payload": {"gpus": ["GPU-0"]}}]}}},
        {"other_fleets": [{"id": "x", "name": "x", "ports": [], "gpus": ["GPU-0"]}]},
        {"gpus": [gpu(0, 80, processes=[{"pid": 7, "memory": GIB}]), gpu(1, 80, memory_used=GIB)]},
    ],
)
def test_what_stands_on_a_gpu_already_is_said_and_does_not_count_against_it(more: dict[str, Any]) -> None:
    way = only(asked(host(gpu(0, 80), gpu(1, 80), **more), tensor_parallel=2))
    assert (way.verdict, way.there, way.free) == ("fits", 2, 1)
    assert not way.room
    assert occupied(way) == "1 GPU of them free now"


def test_stages_of_a_pipeline_need_a_gpu_each() -> None:
    base = deployment(model(models.LLAMA_3_8B), Wish(), "vllm", 1)
    staged = base.engine.settings.model_copy(update={"pipeline_parallel": 2})
    base = base.model_copy(update={"engine": EngineChoice(name="vllm", settings=staged)})
    assert asked(host(gpu(0, 80)), base=base).ways == ()
    way = only(asked(host(*(gpu(number, 80) for number in range(4))), base=base))
    assert (way.verdict, way.gpus, way.settings.get("tensor_parallel"), way.settings["pipeline_parallel"]) == ("fits", 2, None, 2)
    way = only(asked(host(*(gpu(number, 80) for number in range(4))), base=base, tensor_parallel=2))
    assert (way.gpus, way.settings["tensor_parallel"]) == (4, 2)


def test_of_slices_a_process_uses_only_one() -> None:
    whole = gpu(0, 80, "A100", mig=True)
    slices = [gpu(0, 10, "A100 MIG 1g.10gb", uuid=f"MIG-{n}", slice=n, parent="GPU-0") for n in range(4)]
    way = only(asked(host(whole, *slices)))
    assert (way.verdict, way.gpus, way.there) == ("no", 1, 4)
    assert asked(host(whole, *slices), tensor_parallel=2).ways == ()


def test_gpus_that_the_hosts_file_leaves_to_others_are_not_counted() -> None:
    found = host(gpu(0, 80), gpu(1, 80))
    file = HostSpec(name="h1", address="192.0.2.1", gpus=(1,))
    (way,) = survey(model(models.LLAMA_3_8B), Wish("vllm", 8192), {"h1": found}, {"h1": file}).ways
    assert (way.there, way.free) == (1, 1)


def test_a_host_without_enough_gpus_offers_no_way() -> None:
    assert asked(host(gpu(0, 80)), tensor_parallel=2).ways == ()


def test_an_architecture_that_is_not_known_is_no_yes() -> None:
    odd = replace(models.LLAMA_3_8B, model_type="zebra", cache=models.facts("zebra").cache)
    found = asked(host(gpu(0, 80)), odd)
    assert (only(found).verdict, found.serves) == ("unknown", None)
    assert "unknown architecture zebra" in only(found).what


def test_a_type_that_the_gpu_cannot_compute_is_said_before_memory_is() -> None:
    way = only(asked(host(gpu(0, 80, "V100", capability="7.0")), quantization="fp8"))
    assert way.verdict == "no"
    assert "V100" in way.what


def test_a_host_that_does_not_answer_is_silent() -> None:
    found = asked(Unreached("h1", "timeout", "timed out after 5 s"))
    assert (found.ways, dict(found.silent)) == ((), {"h1": "timed out after 5 s"})


def test_an_engine_that_does_not_read_it_says_why_unless_it_was_asked_for() -> None:
    found = asked(host(gpu(0, 80)), engine=None)
    assert found.unread["llamacpp"] == "it serves one GGUF file"
    assert {way.engine for way in found.ways} >= {"vllm", "ctranslate2"}
    with pytest.raises(UsageError, match="no tensor_parallel"):
        asked(host(gpu(0, 80)), engine="ctranslate2", tensor_parallel=2)


@pytest.mark.parametrize(("quantization", "peak"), [("int8", 0.7e9), ("float32", 0.9e9)])
def test_what_a_conversion_takes_is_one_number_for_who_asks_and_for_who_refuses(quantization: str, peak: float) -> None:
    """Peaks as measured for the 92 M parameters of docs/ctranslate2.md."""
    files = (
        LockedFile("config.json", 10, ""),
        LockedFile("model.safetensors", 184_000_000, ""),
        LockedFile("tokenizer.json", 10, ""),
    )
    asking = replace(model(replace(models.LLAMA_3_8B, dtype="bfloat16")), files=files)
    (way,) = survey(asking, Wish(engine="ctranslate2", quantization=quantization), {"h1": host()}).ways
    assert way.converting == pytest.approx(peak, rel=0.05)
    conversion = ENGINES["ctranslate2"].conversion(deployment(asking, Wish(quantization=quantization), "ctranslate2", 0), asking)
    assert way.converting == memory_needed(asking, conversion)
    (served,) = survey(asking, Wish(engine="transformers"), {"h1": host()}).ways
    assert served.converting == 0
