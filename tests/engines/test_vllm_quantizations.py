"""Which quantization fits which model and which GPU, by vLLM 0.32's own table."""

from typing import Any

import pytest

from deployer.engines.base import ChecksGpus
from deployer.engines.ctranslate2 import CTRANSLATE2
from deployer.engines.vllm import VLLM
from tests.engines.builders import deployment, messages, model


def on_model(asked: str | None, *files: str, **facts: Any) -> list[str]:
    settings = {"quantization": asked} if asked else {}
    return [f"{c.message} [{c.hint}]" for c in VLLM.check_model(deployment("vllm", settings), model(*files, **facts))]


def on_gpu(capability: str, settings: dict[str, Any], **facts: Any) -> list[tuple[str, str]]:
    found = VLLM.check_gpu(deployment("vllm", settings), model(**facts), "Tesla T4", capability)
    return [(".".join(map(str, c.path)), c.message) for c in found]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quantization": "gguf"}, "engine.vllm.quantization: vLLM 0.32.0 has no loader for gguf"),
        ({"quantization": "fp8_per_tenser"}, "vLLM 0.32.0 has no quantization fp8_per_tenser [did you mean fp8_per_tensor?]"),
        ({"quantization": "fbgemm_fp8"}, "refuses fbgemm_fp8 as deprecated [args: {allow_deprecated_quantization: true}]"),
    ],
)
def test_what_this_vllm_does_not_have_is_said_with_the_files(settings: dict[str, Any], said: str) -> None:
    (found,) = messages("vllm", settings)
    assert said in found


def test_an_older_or_newer_vllm_may_have_more() -> None:
    assert not [m for m in messages("vllm", {"quantization": "bitsandbytes", "version": "0.31.0"}) if "bitsandbytes" in m]
    assert messages("vllm", {"quantization": "zzz9", "version": "0.40.0"}) == []
    assert messages("vllm", {"quantization": "fbgemm_fp8", "args": {"allow_deprecated_quantization": True}}) == []


def test_a_model_says_its_own_and_the_file_may_not_say_another() -> None:
    assert on_model(None, quantization="awq") == []
    assert on_model("awq_marlin", quantization="awq") == []
    assert on_model("moe_wna16", quantization="gptq") == [], "it loads checkpoints of others"
    assert on_model("gptq", quantization="awq") == ["acme/tiny is quantized with awq, not with gptq [leave it out, or awq]"]
    (found,) = on_model(None, quantization="bitsandbytes")
    assert found.startswith("acme/tiny is quantized with bitsandbytes, and vLLM has no loader for that")


def test_what_needs_a_quantized_repository_is_refused_for_another() -> None:
    (found,) = on_model("awq")
    assert found.startswith("acme/tiny is not quantized, and awq is nothing that can be done while it loads")
    assert on_model("awq", "config.json", "model.safetensors", "quant_config.json") == [], "it says so in a file of its own"
    assert on_model("fp8_per_tensor") == []
    assert on_model("fp8") == [], "vLLM takes it for fp8_per_tensor"


@pytest.mark.parametrize(
    ("capability", "settings", "facts", "said"),
    [
        ("7.0", {}, {"quantization": "awq"}, ("model", "Tesla T4 (compute capability 7.0) cannot compute awq, which needs 7.5")),
        (
            "7.5",
            {"quantization": "experts_int8"},
            {},
            ("engine.vllm.quantization", "Tesla T4 (compute capability 7.5) cannot compute experts_int8, which needs 8.0"),
        ),
        (
            "9.0",
            {"quantization": "fp_quant"},
            {},
            ("engine.vllm.quantization", "Tesla T4 (compute capability 9.0) cannot compute fp_quant, which needs 10.0"),
        ),
        (
            "7.5",
            {"dtype": "bfloat16"},
            {},
            ("engine.vllm.dtype", "Tesla T4 (compute capability 7.5) cannot compute in bfloat16, which needs 8.0"),
        ),
    ],
)
def test_a_gpu_that_is_too_old_is_said_at_the_line_that_asks_too_much(
    capability: str, settings: dict[str, Any], facts: dict[str, Any], said: tuple[str, str]
) -> None:
    assert on_gpu(capability, settings, **facts) == [said]
    assert on_gpu("12.0", settings, **facts) == []


def test_what_can_be_computed_instead_is_named() -> None:
    (found,) = VLLM.check_gpu(deployment("vllm", {"quantization": "experts_int8"}), None, "T4", "7.5")
    assert found.hint is not None
    assert "fp8_per_tensor" in found.hint
    assert "awq" not in found.hint, "another model"


def test_only_some_engines_ask_which_gpu_it_is() -> None:
    assert isinstance(VLLM, ChecksGpus)
    assert not isinstance(CTRANSLATE2, ChecksGpus)
