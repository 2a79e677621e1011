"""The cache of each family whose layers are unlike Llama's, from its config.json as the catalogue has it. By hand, from the sizes
that vLLM 0.32.0 gives its pages; what an engine has published of them is in test_fit.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployer.app import catalog
from deployer.engines.memory import CAST, CONVERTED
from deployer.lock.facts import facts_from_config
from deployer.plan.fit import GIB, Gpu, Question, Settings, answer
from deployer.plan.fit.cache import Pool, pool, request_bytes
from deployer.plan.fit.layers import layers_of
from deployer.state.locked import CacheFacts, ModelFacts

ENTRIES = catalog.entries(Path("/nowhere"))


def of(name: str, **more: Any) -> ModelFacts:
    return replace(facts_from_config({**ENTRIES[name].entry.config, **more}), weights_bytes=GIB)


def ask(facts: ModelFacts, capability: str = "9.0", **said: Any) -> Question:
    return Question(facts, Settings(**said), Gpu(80 * GIB, "H100", capability=capability))


def cut(facts: ModelFacts, capability: str = "9.0", **said: Any) -> Pool:
    return pool(ask(facts, capability, **said))


def counted(facts: ModelFacts) -> dict[str, int]:
    kinds = [layer.kind for layer in layers_of(facts)]
    return {kind: kinds.count(kind) for kind in kinds}


def test_sparse_attention_keeps_a_key_of_8_bits_beside_each_latent() -> None:
    """attention.py: 128 elements of 8 bits and a scale of 4 bytes, beside (512 + 64) x 2 bytes; 61 layers, all with their own."""
    facts = of("deepseek-v3.2")
    assert counted(facts) == {"sparse": 61}
    assert cut(facts).token == 61 * (576 * 2 + 132)
    question = ask(facts, context=131072, tensor_parallel=8)
    assert request_bytes(question, pool(question)) == 131072 * 61 * (576 * 2 + 132), "whole on every GPU"


def test_of_glms_layers_three_of_four_follow_the_one_before() -> None:
    """Its config.json lists 21 indexers of 78 as "full"; the pages lie side by side, none of them padded."""
    facts = of("glm-5.2")
    assert facts.cache is not None
    own = [n for n, kind in enumerate(facts.cache.layer_types) if kind == "sparse_attention"]
    assert own == [0, 1, 2, *range(6, 78, 4)]
    assert cut(facts).token == 78 * 576 * 2 + 21 * 132
    question = ask(facts, context=1 << 20)
    assert request_bytes(question, pool(question)) == (1 << 20) * (78 * 576 * 2 + 21 * 132)
    assert of("glm-5.2", index_topk_pattern="FS" * 39).cache == replace(
        facts.cache, layer_types=("sparse_attention", "sparse_attention_shared") * 39
    )


@pytest.mark.parametrize(
    ("name", "capability", "asked", "latent"),
    [
        ("glm-5.2", "9.0", "auto", 1152),
        ("glm-5.2", "10.0", "auto", 576),
        ("deepseek-v3.2", "10.0", "auto", 1152),
        ("deepseek-v3.2", "9.0", "fp8", 656),
        ("deepseek-v3.2", "10.0", "fp8", 576),
    ],
)
def test_a_latent_of_8_bits_is_as_the_gpus_kernel_keeps_it(name: str, capability: str, asked: str, latent: int) -> None:
    facts = of(name)
    keys = {"glm-5.2": 21, "deepseek-v3.2": 61}[name]
    assert cut(facts, capability, cache_dtype=asked).token == layers(facts) * latent + keys * 132


def layers(facts: ModelFacts) -> int:
    return facts.layers or 0


def test_on_other_gpus_nobody_knows_a_sparse_cache_of_8_bits() -> None:
    said = answer(ask(of("deepseek-v3.2"), "12.0", cache_dtype="fp8")).unknown or ""
    assert "Hopper and Blackwell" in said
    assert "sparse" in (answer(ask(of("deepseek-v3.2"), scheme=CAST)).unknown or "")


def test_llama_4_sees_everything_in_each_fourth_layer_and_its_chunk_in_the_others() -> None:
    """12 full layers; a block is 12 layers' pages of 16 tokens. A chunk of 8192 and a step of 8192 more, on an H100."""
    facts = of("llama-4-scout-17b-16e-instruct")
    assert counted(facts) == {"chunked": 36, "full": 12}
    page = 16 * 2 * 8 * 128 * 2
    question = ask(facts, context=1_000_000)
    assert request_bytes(question, pool(question)) == (1_000_000 // 16 + 3 * (8192 + 8192) // 16) * 12 * page
    text = dict(ENTRIES["llama-4-scout-17b-16e-instruct"].entry.config["text_config"])
    whole = of("llama-4-scout-17b-16e-instruct", text_config={k: v for k, v in text.items() if k != "attention_chunk_size"})
    assert counted(whole) == {"full": 48}
    listed = of("llama-4-scout-17b-16e-instruct", text_config={**text, "no_rope_layers": [1, 0] * 24})
    assert counted(listed) == {"chunked": 24, "full": 24}


def test_nemotrons_mamba_layers_keep_a_state_and_its_experts_nothing() -> None:
    """A state: (4096 + 2 x 8 x 128) x 3 in 16 bits, 64 heads of 64 x 128 in 32; a page of 131 x 16 tokens of 1 KiB holds one."""
    facts = of("nemotron-3-nano-30b-a3b")
    assert counted(facts) == {"linear": 23, "full": 6}
    state = 6144 * 3 * 2 + 64 * 64 * 128 * 4
    made = cut(facts)
    assert made.page == -(-state // (1024 * 16)) * 16 * 1024 == 2096 * 1024
    assert made.token == 6 * 1024
    question = ask(facts, context=262144, prefix_caching=False)
    assert request_bytes(question, pool(question)) == (-(-262144 // 2096) + 4) * 6 * made.page, "23 states are 4 blocks of 6"
    assert "mamba_of_another_type" in (answer(ask(of("nemotron-3-nano-30b-a3b", mamba_ssm_cache_dtype="float16"))).unknown or "")


def test_mellum_has_three_windows_to_each_full_layer() -> None:
    facts = of("mellum2-12b-a2.5b-instruct")
    assert counted(facts) == {"sliding": 21, "full": 7}
    question = ask(facts, context=131072)
    blocks = 131072 // 16 + 3 * (-(-(1023 + 8192) // 16) + 1)
    assert request_bytes(question, pool(question)) == blocks * 7 * 16 * 2 * 4 * 128 * 2


def test_gemma_4_unified_is_gemma_4_without_encoders() -> None:
    config = ENTRIES["gemma-4-31b-it"].entry.config
    text = dict(config["text_config"])
    plain, unified = (
        facts_from_config({**config, "text_config": {**text, "model_type": kind}})
        for kind in ("gemma4_text", "gemma4_unified_text")
    )
    assert cut(plain) == cut(unified)


@pytest.mark.parametrize(
    ("name", "each"),
    [
        ("seed-oss-36b-instruct", 64 * 2 * 8 * 128 * 2),
        ("smollm3-3b", 36 * 2 * 4 * 128 * 2),
        ("minimax-m2.7", 62 * 2 * 8 * 128 * 2),
        ("ministral-3-14b-instruct-2512", 40 * 2 * 8 * 128 * 2),
        ("qwen3-embedding-4b", 36 * 2 * 8 * 128 * 2),
    ],
)
def test_where_all_layers_are_alike_a_token_costs_each_of_them_its_heads(name: str, each: int) -> None:
    assert cut(of(name)).token == each


def test_a_lock_that_was_written_before_such_layers_were_read_says_so() -> None:
    facts = of("nemotron-3-nano-30b-a3b")
    old = replace(facts, cache=CacheFacts("nemotron_h"))
    assert "deployer lock --upgrade" in (answer(ask(old)).unknown or "")


def test_a_speech_model_has_its_decoders_layers_and_looks_at_thirty_seconds() -> None:
    """Turbo: 4 layers of decoder to 32 of encoder. Self attention for 448 tokens, cross attention for 1500."""
    facts = of("whisper-large-v3-turbo")
    assert (facts.layers, facts.heads, facts.context) == (4, 20, 448)
    question = ask(facts)
    assert request_bytes(question, pool(question)) == 4 * (448 // 16 + -(-1500 // 16)) * 16 * 2 * 1280 * 2


def test_a_translation_has_a_cache_for_each_beam_and_one_of_the_text_it_translates() -> None:
    """NLLB 3.3B: 24 layers of decoder, 2048 wide; two beams as our server has them; what is not int8 stays in its 32 bits."""
    found = answer(ask(of("nllb-200-3.3b"), scheme=CONVERTED, quantization="int8", context=1024))
    assert found.unknown is None
    one = 1024 * 2 * 2048 * 4
    assert found.request == 2 * 25 * one + 24 * one, "one layer twice, since a step appends by copying"


def test_an_encoder_reads_a_prompt_in_one_step_and_keeps_nothing() -> None:
    facts = replace(of("bge-m3"), context=8192)
    pooled = answer(ask(facts, pooling=True, sequences=64))
    assert (pooled.unknown, pooled.request) == (None, 0)
    short = answer(ask(replace(facts, context=512), pooling=True, sequences=64, batched_tokens=None))
    assert pooled.overhead.activation >= short.overhead.activation
    small = Question(facts, Settings(pooling=True), Gpu(24 * GIB))
    assert answer(small).overhead.activation == 8192 * (4 * 1024 + 3 * 4096) * 2, (
        "no more tokens are batched on it otherwise: 2048"
    )


def test_a_model_that_pools_makes_no_scores_of_words() -> None:
    facts = of("qwen3-embedding-4b")
    scores = 1024 * 151665 * 4 * 2
    chosen, pooled = (answer(ask(facts, context=8192, pooling=p)).overhead.activation for p in (False, True))
    assert chosen - pooled == scores
