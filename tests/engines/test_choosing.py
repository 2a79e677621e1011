"""CTranslate2 or vLLM: by kind, hardware, architecture and what the weights are."""

from typing import Any

import pytest

from deployer.engines.choosing import choice
from tests.engines.builders import model


@pytest.mark.parametrize(
    ("facts", "capabilities", "engine", "why"),
    [
        ({}, (), "ctranslate2", "int8 is the CPU's fast type"),
        ({}, ("9.0",), "vllm", "it batches continuously"),
        ({}, (), "ctranslate2", "refused with a 400 by ctranslate2"),
        ({}, ("9.0",), "vllm", "refused with a 400 by ctranslate2"),
        ({"architectures": ("BertModel",)}, (), "ctranslate2", "int8 moves the vectors: cosine to the original 0.997"),
        ({}, ("8.0", "6.1"), "ctranslate2", "this GPU has 6.1"),
        ({}, (None,), "vllm", "it batches continuously"),
        ({"architectures": ("DeepseekV3ForCausalLM",)}, (), "vllm", "does not know DeepseekV3ForCausalLM"),
        ({"quantization": "fp8"}, (), "vllm", "quantized with fp8"),
        ({"architectures": ("BertModel",)}, ("9.0",), "ctranslate2", "a batch of texts is one call"),
        ({"architectures": ("WhisperForConditionalGeneration",)}, (), "ctranslate2", "WAV files"),
    ],
)
def test_the_choice_has_a_reason(facts: dict[str, Any], capabilities: Any, engine: str, why: str) -> None:
    for now in ("vllm", "ctranslate2"):
        found = choice(now, model(**facts), capabilities)
        assert found is not None
        assert found.engine == engine
        assert any(why in line for line in found.why)


def test_of_what_nobody_knows_nothing_is_said() -> None:
    assert choice("transformers", model(), ()) is None
    assert choice("vllm", None, ()) is None
    assert choice("vllm", model(architectures=()), ()) is None
