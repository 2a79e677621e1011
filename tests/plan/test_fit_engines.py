"""Fits of the engines without a pool of pages: llama.cpp, Transformers, CTranslate2, and what they take of a CPU's host."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.engines.llamacpp import LlamaCppSettings
from deployer.engines.memory import CAST, CONVERTED, PAGED, SLOTS, memory_settings
from deployer.engines.ollama import OllamaSettings
from deployer.lock.facts import facts_from_config, parse_config
from deployer.lock.gguf import gguf_facts
from deployer.plan.fit import GIB, Answer, Gpu, Question, Settings, answer, brief, explain, lacking, line
from deployer.spec.models import Batch, DeploymentSpec, EndpointSpec, EngineChoice, ModelSpec, Placement
from deployer.state.locked import ModelFacts
from tests.gguffile import write_gguf
from tests.plan import models

MIB = 1 << 20
WHOLE = {
    "torch_dtype": "bfloat16", "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096,
    "vocab_size": 128256, "max_position_embeddings": 8192, "intermediate_size": 14336,
}  # fmt: skip


def asked(facts: ModelFacts, memory: float = 80, *, cpu: bool = False, **said: Any) -> Answer:
    return answer(Question(facts, Settings(cpu=cpu, **said), Gpu(int(memory * GIB), "", cpu=cpu)))


# llama.cpp; the figures for models/tiny-chat are those that build 11434 writes with LLAMA_ARG_LOG_VERBOSITY=4


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelFacts:
    file = write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")
    return replace(gguf_facts(file, "tiny.gguf"), weights_bytes=file.stat().st_size)


def test_llamacpp_makes_the_cache_of_all_its_slots_at_the_start(tiny: ModelFacts) -> None:
    found = asked(tiny, 4, cpu=True, scheme=SLOTS, context=512, sequences=4)
    assert found.request == 3 * MIB, "KV buffer size = 3.00 MiB"
    assert found.weights == pytest.approx(6.63 * MIB, rel=0.02), "model buffer size = 6.63 MiB"
    assert found.overhead.activation == pytest.approx(5.27 * MIB, rel=0.05), "compute buffer size = 5.27 MiB"
    assert (found.fits, found.requests) == (True, 4)
    assert "for 4 requests of 512 tokens, made at the start" in explain(found)[1]


def test_one_context_that_all_share_is_there_once(tiny: ModelFacts) -> None:
    shared = asked(tiny, 4, scheme=SLOTS, sequences=4, shared=True)
    assert shared.request == asked(tiny, 4, scheme=SLOTS, context=1024, sequences=1).request


@pytest.mark.parametrize(("kind", "share"), [("f32", 2.0), ("bf16", 1.0), ("q8_0", 0.53125), ("q4_0", 0.28125)])
def test_a_smaller_type_makes_a_smaller_cache(tiny: ModelFacts, kind: str, share: float) -> None:
    full = asked(tiny, scheme=SLOTS, context=512, sequences=1).request
    assert asked(tiny, scheme=SLOTS, context=512, sequences=1, cache_types=(kind, kind)).request == full * share
    assert "q9" in (asked(tiny, scheme=SLOTS, cache_types=("q9", "f16")).unknown or "")


def test_a_window_keeps_what_a_step_may_look_at() -> None:
    """Gemma 3 27B has a window of 1024: 52 windowed layers keep 1536 cells, 10 full ones all (llama-kv-cache-iswa.cpp)."""
    gemma = models.facts(
        "gemma3", context=131072, vocab_size=262144, hidden_size=5376, layers=62, heads=32, kv_heads=16, head_dim=128,
        window=1024, intermediate_size=21504, weights_bytes=17 * GIB,
    )  # fmt: skip
    found = asked(gemma, scheme=SLOTS, context=32768, sequences=1)
    assert found.request == (10 * 32768 + 52 * 1536) * 2 * 16 * 128 * 2


def test_what_does_not_fit_names_a_smaller_cache_type_or_fewer_slots(tiny: ModelFacts) -> None:
    found = asked(models.LLAMA_3_8B, 22, scheme=SLOTS, context=16384, sequences=4)
    assert not found.fits
    assert "cache_type_k and cache_type_v q8_0 · or batch.max_size 1" in lacking(found)[1]
    assert answer(found.question.with_context(found.largest_context)).fits


def test_what_would_fit_is_said_in_the_words_of_the_engine() -> None:
    """Only settings that the engine has, and that it takes on this device."""
    large = replace(models.LLAMA_3_8B, context=131072)
    llama, ollama = (asked(large, 40, scheme=SLOTS, context=32768, sequences=4, one_cache_type=one) for one in (False, True))
    assert "cache_type_k and cache_type_v q8_0" in lacking(llama)[1]
    assert " · or kv_cache_type q8_0 · or " in lacking(ollama)[1]
    on_cpu = lacking(asked(large, 17, cpu=True, context=131072))[1]
    assert not any(word in on_cpu for word in ("fp8", "tensor_parallel")), on_cpu
    assert "a host of " in on_cpu
    cast = lacking(asked(large, 17, cpu=True, scheme=CAST))[1]
    assert re.match(r"no request is longer than \d+ tokens · or a host of \d+ GiB$", cast), cast
    found = asked(large, 24, scheme=CAST)
    said = re.match(r"resources\.gpu_memory (\d+)GiB, when no request is longer than (\d+) tokens", lacking(found)[1])
    assert said is not None, lacking(found)[1]
    assert asked(large, 24, scheme=CAST, stated=int(said[1]) * GIB).fits
    assert 1000 < int(said[2]) == found.largest_context
    assert asked(large, 24, scheme=CAST, context=found.largest_context).fits
    assert not asked(large, 24, scheme=CAST, context=found.largest_context + 1).fits


def test_a_cache_of_a_size_that_was_set_is_what_a_request_must_fit_in() -> None:
    small = {"context": 131072, "cache_bytes": 4 * GIB}
    gpu, cpu = asked(models.LLAMA_3_8B, 80, **small), asked(models.LLAMA_3_8B, 256, cpu=True, **small)
    assert lacking(gpu)[0] == "cache for one request of 131072 tokens 16.00, of 4.00 GiB that kv-cache-memory-bytes sets"
    assert lacking(cpu)[0] == "cache for one request of 131072 tokens 16.00, of 4.00 GiB that VLLM_CPU_KVCACHE_SPACE sets"
    for found, way in ((gpu, "args: {kv-cache-memory-bytes: 17179869184}"), (cpu, "env: {VLLM_CPU_KVCACHE_SPACE: 16}")):
        assert not found.tight
        assert lacking(found)[1] == f"max_model_len {found.largest_context} · or {way}"
        assert not any("4096" in one for one in explain(found))
        settings = found.question.settings._replace(cache_bytes=16 * GIB)
        assert answer(found.question.with_settings(settings)).fits


def test_a_cache_of_a_size_that_was_set_is_made_at_the_start() -> None:
    """However little one request takes: 15 GiB of weights and 10 of cache do not go into 24."""
    found = asked(models.LLAMA_3_8B, 24, context=8192, cache_bytes=10 * GIB)
    assert (found.fits, found.request, found.cache) == (False, GIB, 10 * GIB)
    assert lacking(found)[0].startswith("weights 14.99 + cache that kv-cache-memory-bytes sets 10.00 + overhead ")
    assert brief(found.question)["cache"] == 10 * GIB
    larger = asked(models.LLAMA_3_8B, found.smallest_gpu / GIB, context=8192, cache_bytes=10 * GIB)
    assert larger.fits
    assert larger.requests == 10


def test_on_a_cpu_no_word_is_of_gpus() -> None:
    fits = explain(asked(models.LLAMA_3_8B, 64, cpu=True, context=8192))
    odd = explain(asked(replace(models.LLAMA_3_8B, model_type="zebra", cache=models.facts("zebra").cache), 64, cpu=True))
    assert "the smallest host that would do has " in "\n".join(fits)
    small = asked(models.LLAMA_3_8B, 8, cpu=True, context=8192)
    assert lacking(small)[0] == "weights 14.99 GiB are more than the 8.00 GiB that it may have"
    assert "GPU" not in "\n".join((*fits, *odd)), "resources.gpu_memory states nothing of a CPU"


def test_layers_are_spread_over_several_gpus() -> None:
    one, two = (asked(models.LLAMA_3_8B, scheme=SLOTS, context=8192, sequences=4, pipeline_parallel=n) for n in (1, 2))
    assert (two.weights * 2, two.request * 2) == (one.weights, one.request)


# Transformers


@pytest.mark.parametrize(
    ("said", "weights"),
    [
        ({}, 16_060_522_496),
        ({"dtype": "float32"}, 32_121_044_992),
        ({"quantization": "bnb-8bit"}, 8_030_261_248 + 2 * 128256 * 4096),
        ({"quantization": "bnb-4bit"}, 2 * 2 * 128256 * 4096 + int((8_030_261_248 - 2 * 128256 * 4096) * 4.5 / 8)),
    ],
)
def test_transformers_casts_or_quantizes_what_it_loads(said: dict[str, Any], weights: int) -> None:
    found = asked(models.LLAMA_3_8B, scheme=CAST, context=8192, **said)
    assert found.weights == weights
    assert found.request == (2 if "dtype" in said else 1) * GIB


def test_transformers_needs_scores_of_all_pairs_without_a_fused_attention() -> None:
    fused, eager = (asked(models.LLAMA_3_8B, scheme=CAST, context=8192, flash=flash) for flash in (True, False))
    assert eager.total - fused.total == 32 * 8192 * 8192 * 4
    assert "bnb-4bit" in lacking(asked(models.LLAMA_3_8B, 17, scheme=CAST, context=8192))[1]


# CTranslate2 on a CPU


@pytest.mark.parametrize(("kept", "runs"), [(None, "float32"), ("float16", "float32"), ("int8_bfloat16", "int8_float32")])
def test_what_a_cpu_has_no_fast_type_for_is_kept_in_32_bits(kept: str | None, runs: str) -> None:
    said = asked(models.LLAMA_3_8B, cpu=True, scheme=CONVERTED, context=8192, quantization=kept)
    assert said.weights == asked(models.LLAMA_3_8B, cpu=True, scheme=CONVERTED, context=8192, quantization=runs).weights


@pytest.mark.parametrize(
    ("kept", "capability", "runs", "cache"),
    [
        (None, "7.5", "float32", 4),
        (None, "8.0", "bfloat16", 2),
        (None, "", "bfloat16", 2),
        ("int8", "7.5", "int8_float32", 4),
        ("int8", "9.0", "int8_bfloat16", 2),
        ("float16", "7.5", "float16", 2),
    ],
)
def test_what_a_gpu_has_no_fast_type_for_is_kept_in_32_bits(kept: str | None, capability: str, runs: str, cache: int) -> None:
    """As the plan says under the change that it computes in."""
    gpu = Gpu(80 * GIB, "", capability=capability)
    said, same = (
        answer(Question(models.LLAMA_3_8B, Settings(scheme=CONVERTED, context=8192, quantization=one), on))
        for one, on in ((kept, gpu), (runs, Gpu(80 * GIB, "", capability="9.0")))
    )
    assert said.weights == same.weights
    assert said.token == 32 * 2 * 8 * 128 * cache


def test_an_encoder_keeps_nothing_between_requests() -> None:
    minilm = models.facts(
        "bert", context=512, vocab_size=30522, hidden_size=384, layers=6, heads=12, dtype="float32", intermediate_size=1536,
        tensors=(("F32", 90_852_864),),
    )  # fmt: skip
    for said in ({"scheme": CONVERTED}, {}):
        found = asked(minilm, 8, **said)
        assert (found.fits, found.request, found.token, found.largest_context) == (True, 0, 0, 512)


# what their settings say


def spec(engine: str, settings: Any, **more: Any) -> DeploymentSpec:
    chosen = EngineChoice(name=engine, settings=settings)
    return DeploymentSpec(name="chat", model=ModelSpec(path="m"), endpoint=EndpointSpec(open=True), engine=chosen, **more)


def test_settings_of_llamacpp_and_ollama() -> None:
    llama = memory_settings(spec("llamacpp", LlamaCppSettings(max_model_len=512, cache_type_k="q8_0"), batch=Batch(max_size=2)))
    assert llama is not None
    assert (llama.scheme, llama.cpu, llama.context, llama.sequences, llama.cache_types, llama.shared, llama.unread) == (
        SLOTS, True, 512, 2, ("q8_0", "f16"), False, (),
    )  # fmt: skip
    whole = memory_settings(spec("llamacpp", LlamaCppSettings(gpu_layers=3), placement=Placement(gpus=2)))
    assert whole is not None
    assert (whole.cpu, whole.shared, whole.pipeline_parallel, whole.unread) == (False, True, 2, ("gpu_layers",))
    other = memory_settings(spec("ollama", OllamaSettings(kv_cache_type="q8_0")))
    assert other is not None
    assert (other.cache_types, other.one_cache_type, other.unread) == (("q8_0", "q8_0"), True, ("max_model_len left out",))


# what a config.json may claim

ODD = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=5)
    | st.lists(st.integers(), max_size=3)
)
CLAIMS = (
    *("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "hidden_size", "vocab_size", "layer_types"),
    *(
        "max_position_embeddings",
        "intermediate_size",
        "model_type",
        "sliding_window",
        "torch_dtype",
        "text_config",
        "rope_scaling",
    ),
    *("quantization_config", "kv_lora_rank", "qk_rope_head_dim", "tie_word_embeddings", "num_experts_per_tok"),
    *("index_topk", "index_topk_freq", "index_topk_pattern", "index_head_dim", "hybrid_override_pattern", "conv_kernel"),
    *("attention_chunk_size", "no_rope_layers", "is_encoder_decoder", "decoder_layers", "max_target_positions"),
)
KINDS = ("llama", "qwen3_moe", "gemma2", "gemma3_text", "deepseek_v3", "qwen3_next", "gpt_oss", "whisper", "bert")
KINDS += ("deepseek_v32", "llama4_text", "nemotron_h", "mellum", "m2m_100")


@settings(max_examples=80)
@given(
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(CLAIMS), ODD | st.dictionaries(st.sampled_from(CLAIMS), ODD, max_size=4), max_size=6),
    st.sampled_from([PAGED, CONVERTED, CAST, SLOTS]),
    st.booleans(),
    st.sampled_from([0, 10**9, 10**40]),
)
def test_whatever_a_config_claims_there_is_an_answer_or_a_reason(
    kind: str, claims: dict[str, Any], scheme: str, cpu: bool, held: int
) -> None:
    config = {**WHOLE, "model_type": kind, **claims}
    facts = facts_from_config(parse_config(json.dumps(config), "config.json"), weights_bytes=held)
    found = answer(Question(facts, Settings(scheme=scheme, cpu=cpu), Gpu(24 * GIB, "", cpu=cpu)))
    assert line(found)
    assert explain(found)
    assert json.dumps(found.json())
    if found.unknown is None:
        assert found.weights > 0
        assert all(lacking(found))
        assert brief(found.question)["fits"] == found.fits
