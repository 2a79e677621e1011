"""Facts of published models, as their config.json and cards have them, for tests of fits. `weights_bytes` of QWEN3_CODER,
QWEN3_235B, QWEN38, QWEN36 and MINIMAX_M2 are round figures that no test compares with anything.
"""

from typing import Any

from deployer.state.locked import CacheFacts, ModelFacts

_CACHE = set(CacheFacts.__dataclass_fields__)


def facts(text_type: str, **said: Any) -> ModelFacts:
    """`said`: fields of ModelFacts and of CacheFacts."""
    cache = CacheFacts(text_type=text_type, **{k: said.pop(k) for k in list(said) if k in _CACHE})
    said.setdefault("model_type", text_type)
    return ModelFacts(cache=cache, **said)


def bf16(parameters: int) -> tuple[tuple[str, int], ...]:
    return (("BF16", 2 * parameters),)


LLAMA_3_8B = facts(
    "llama",
    context=131072,
    vocab_size=128256,
    hidden_size=4096,
    layers=32,
    heads=32,
    kv_heads=8,
    intermediate_size=14336,
    dtype="bfloat16",
    tied=False,
    tensors=bf16(8_030_261_248),
)
_LLAMA_70B_EMBEDDINGS = 2 * 128256 * 8192
LLAMA_3_70B_W8A8 = facts(
    "llama",
    context=131072,
    vocab_size=128256,
    hidden_size=8192,
    layers=80,
    heads=64,
    kv_heads=8,
    intermediate_size=28672,
    dtype="bfloat16",
    quantization="compressed-tensors",
    tensors=(("BF16", 2 * _LLAMA_70B_EMBEDDINGS), ("I8", 70_553_706_496 - _LLAMA_70B_EMBEDDINGS)),
)
LLAMA_2_7B = facts(
    "llama",
    context=4096,
    vocab_size=32000,
    hidden_size=4096,
    layers=32,
    heads=32,
    kv_heads=32,
    intermediate_size=11008,
    dtype="float16",
    tensors=(("F16", 2 * 6_738_415_616),),
)
LLAMA_2_70B = facts(
    "llama",
    context=4096,
    vocab_size=32000,
    hidden_size=8192,
    layers=80,
    heads=64,
    kv_heads=8,
    intermediate_size=28672,
    dtype="float16",
    tensors=(("F16", 2 * 68_976_648_192),),
)
MINIMAX_M2 = facts(
    "minimax_m2",
    context=204800,
    vocab_size=200064,
    hidden_size=3072,
    layers=62,
    heads=48,
    kv_heads=8,
    head_dim=128,
    intermediate_size=1536,
    experts_per_token=8,
    quantization="awq",
    weights_bytes=10**9,
)
QWEN3_30B_A3B = facts(
    "qwen3_moe",
    context=40960,
    vocab_size=151936,
    hidden_size=2048,
    layers=48,
    heads=32,
    kv_heads=4,
    head_dim=128,
    intermediate_size=6144,
    expert_intermediate_size=768,
    experts_per_token=8,
    dtype="bfloat16",
    tied=False,
    tensors=bf16(30_532_122_624),
)
QWEN3_CODER_30B_FP8 = facts(
    "qwen3_moe",
    context=262144,
    vocab_size=151936,
    hidden_size=2048,
    layers=48,
    heads=32,
    kv_heads=4,
    head_dim=128,
    intermediate_size=5472,
    expert_intermediate_size=768,
    experts_per_token=8,
    dtype="bfloat16",
    quantization="fp8",
    weights_bytes=31_193_000_000,
)
QWEN3_235B_FP8 = facts(
    "qwen3_moe",
    context=40960,
    vocab_size=151936,
    hidden_size=4096,
    layers=94,
    heads=64,
    kv_heads=4,
    head_dim=128,
    expert_intermediate_size=1536,
    experts_per_token=8,
    dtype="bfloat16",
    quantization="fp8",
    weights_bytes=236_000_000_000,
)
R1_DISTILL_QWEN_14B = facts(
    "qwen2",
    context=131072,
    vocab_size=152064,
    hidden_size=5120,
    layers=48,
    heads=40,
    kv_heads=8,
    intermediate_size=13824,
    window=131072,
    use_window=False,
    dtype="bfloat16",
    tied=False,
    tensors=bf16(14_770_033_664),
)
DEEPSEEK_V2_LITE = facts(
    "deepseek_v2",
    context=163840,
    vocab_size=102400,
    hidden_size=2048,
    layers=27,
    heads=16,
    kv_heads=16,
    kv_lora_rank=512,
    rope_head_dim=64,
    intermediate_size=10944,
    expert_intermediate_size=1408,
    experts_per_token=6,
    dtype="bfloat16",
    tied=False,
    tensors=bf16(15_706_484_224),
)
GEMMA_4_31B_FP8 = facts(
    "gemma4_text",
    model_type="gemma4",
    context=262144,
    vocab_size=262144,
    hidden_size=5376,
    layers=60,
    heads=32,
    kv_heads=16,
    head_dim=256,
    global_kv_heads=4,
    global_head_dim=512,
    window=1024,
    keys_are_values=True,
    layer_types=(*("sliding_attention",) * 5, "full_attention") * 10,
    intermediate_size=21504,
    dtype="bfloat16",
    quantization="compressed-tensors",
    weights_bytes=26_885_346_708 + 6_382_775_828,
)
QWEN38_27B_FP8 = facts(
    "qwen3_5_text",
    model_type="qwen3_5",
    context=262144,
    vocab_size=248320,
    hidden_size=5120,
    layers=64,
    heads=24,
    kv_heads=4,
    head_dim=256,
    full_interval=4,
    linear_key_heads=16,
    linear_value_heads=48,
    linear_key_dim=128,
    linear_value_dim=128,
    linear_conv=4,
    intermediate_size=17408,
    dtype="bfloat16",
    quantization="fp8",
    weights_bytes=30_600_000_000,
)
QWEN36_35B_A3B = facts(
    "qwen3_5_moe_text",
    model_type="qwen3_5_moe",
    context=262144,
    vocab_size=248320,
    hidden_size=2048,
    layers=40,
    heads=16,
    kv_heads=2,
    head_dim=256,
    full_interval=4,
    linear_key_heads=16,
    linear_value_heads=32,
    linear_key_dim=128,
    linear_value_dim=128,
    linear_conv=4,
    expert_intermediate_size=512,
    experts_per_token=8,
    dtype="bfloat16",
    quantization="modelopt",
    weights_bytes=23_000_000_000,
)
GPT_OSS_20B = facts(
    "gpt_oss",
    context=131072,
    vocab_size=201088,
    hidden_size=2880,
    layers=24,
    heads=64,
    kv_heads=8,
    head_dim=64,
    window=128,
    layer_types=("sliding_attention", "full_attention") * 12,
    intermediate_size=2880,
    expert_intermediate_size=None,
    experts_per_token=4,
    dtype="bfloat16",
    quantization="mxfp4",
    weights_bytes=13_761_300_984,
)
