"""What a config.json says about caches and sizes of layers, read without believing it. Called by facts.py."""

from collections.abc import Mapping
from typing import Any

from deployer.lock.layerkinds import layer_kinds
from deployer.state.locked import CacheFacts

Config = Mapping[str, Any]

_BIGGEST = 2**40  # a number above it is no size of a layer

#: CacheFacts field → names in config.json, the first that is there counts.
_NUMBERS = {
    "window": ("sliding_window", "sliding_window_size"),
    "chunk": ("attention_chunk_size",),
    "window_pattern": ("sliding_window_pattern", "_sliding_window_pattern"),
    "full_interval": ("full_attention_interval",),
    "kv_lora_rank": ("kv_lora_rank",),
    "rope_head_dim": ("qk_rope_head_dim",),
    "global_kv_heads": ("num_global_key_value_heads",),
    "global_head_dim": ("global_head_dim",),
    "shared_layers": ("num_kv_shared_layers",),
    "index_dim": ("index_head_dim",),
    # Mamba 2 keeps what a gated delta net keeps: its groups are the keys' heads, its state is as wide as a key
    "linear_key_heads": ("linear_num_key_heads", "n_groups"),
    "linear_value_heads": ("linear_num_value_heads", "mamba_num_heads"),
    "linear_key_dim": ("linear_key_head_dim", "ssm_state_size"),
    "linear_value_dim": ("linear_value_head_dim", "mamba_head_dim"),
    "linear_conv": ("linear_conv_kernel_dim", "conv_kernel"),
    "encoder_positions": ("max_source_positions",),
    "intermediate_size": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "expert_intermediate_size": ("moe_intermediate_size",),
    "experts_per_token": ("num_experts_per_tok", "experts_per_token", "top_k_experts"),
}


def cache_facts(config: Config, text: Config) -> CacheFacts:
    """`text` is the part of `config` about the language model, or `config` itself. Never raises."""
    numbers: dict[str, Any] = {field: _number(text, *names) for field, names in _NUMBERS.items()}
    return CacheFacts(
        **numbers,
        text_type=_word(text.get("model_type")) or _word(config.get("model_type")),
        layer_types=layer_kinds(text),
        use_window=_flag(text.get("use_sliding_window")),
        encoder_decoder=config.get("is_encoder_decoder") is True or text.get("is_encoder_decoder") is True,
        tied=_flag(text.get("tie_word_embeddings", config.get("tie_word_embeddings"))),
        keys_are_values=_flag(text.get("attention_k_eq_v")),
        cache_dtype=_cache_dtype(config) or _cache_dtype(text),
    )


def _number(config: Config, *names: str) -> int | None:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _BIGGEST:
            return value
    return None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _cache_dtype(config: Config) -> str | None:
    """The KV cache's own type in a quantized checkpoint: ModelOpt's kv_cache_quant_algo or a kv_cache_scheme of 8 or 4 bits."""
    inner = config.get("quantization_config")
    if not isinstance(inner, dict):
        return None
    algo = inner.get("kv_cache_scheme") or inner.get("kv_cache_quant_algo")
    if isinstance(algo, str):
        return algo.lower()
    if isinstance(algo, dict) and algo.get("type") == "float":
        return {8: "fp8", 4: "nvfp4"}.get(algo.get("num_bits", 0))
    return None
