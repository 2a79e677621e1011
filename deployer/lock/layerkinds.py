"""One word for each layer, from a config.json that lists them, or that says in a way of its own which are which. Called by
cachefacts.py.
"""

import re
from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]

_KIND = re.compile(r"[a-z0-9_]{1,40}")
_MOST_LAYERS = 2048  # more than any model has; a list longer than that is no list of layers
#: Nemotron-H, hybrid_override_pattern (vllm/model_executor/models/nemotron_h.py): a letter for each layer.
_LETTERS = {"M": "mamba", "*": "full_attention", "-": "mlp", "E": "moe"}


def layer_kinds(text: Config) -> tuple[str, ...]:
    """Empty where nothing is said: the architecture then has its own rule, or all its layers are alike. Never raises."""
    listed = _listed(text.get("layer_types"))
    if listed:
        return listed
    if isinstance(letters := text.get("hybrid_override_pattern"), str):
        return _lettered(letters, text.get("mamba_ssm_cache_dtype"))
    count = _whole(text.get("num_hidden_layers"), 0)
    if not 0 < count <= _MOST_LAYERS:
        return ()
    if text.get("model_type") == "llama4_text":
        return _chunked(text, count)
    return _sparse(text, count) if "index_topk" in text else ()


def _listed(value: Any) -> tuple[str, ...]:
    """A list with anything but words in it says "unreadable", which no reader takes for a kind it knows."""
    if not isinstance(value, list) or not value or len(value) > _MOST_LAYERS:
        return ()
    return tuple(kind if isinstance(kind, str) and _KIND.fullmatch(kind) else "unreadable" for kind in value)


def _lettered(letters: str, state: Any) -> tuple[str, ...]:
    """A state of another type than 32 bits has a word of its own (vllm/model_executor/models/config.py,
    NemotronHForCausalLMConfig: 32 bits where config.json says nothing).
    """
    words = dict(_LETTERS) if state in (None, "float32") else {**_LETTERS, "M": "mamba_of_another_type"}
    return tuple(words.get(letter, "unreadable") for letter in letters[: _MOST_LAYERS + 1])


def _chunked(text: Config, count: int) -> tuple[str, ...]:
    """Llama 4: layers without rotation see everything, the others their chunk (vllm/model_executor/models/llama4.py). Where
    config.json does not list them, each fourth is without (transformers, configuration_llama4.py).
    """
    listed = text.get("no_rope_layers")
    rotated = listed if isinstance(listed, list) and listed else [(n + 1) % 4 for n in range(count)]
    local = "chunked_attention" if text.get("attention_chunk_size") else "full_attention"
    return tuple(local if one else "full_attention" for one in rotated[:_MOST_LAYERS])


def _sparse(text: Config, count: int) -> tuple[str, ...]:
    """DeepSeek's sparse attention: a layer chooses the tokens that it looks at, or takes those of the one before
    (vllm/models/deepseek_v32/attention.py, DeepseekV32Attention: skip_topk).
    """
    letters = text.get("index_topk_pattern")
    every, offset = (_whole(text.get(name), usual) for name, usual in (("index_topk_freq", 1), ("index_skip_topk_offset", 2)))
    own, taken = "sparse_attention", "sparse_attention_shared"
    if isinstance(letters, str):
        return tuple(taken if letters[n : n + 1] == "S" else own for n in range(count))
    return tuple(taken if max(n - offset + 1, 0) % every else own for n in range(count))


def _whole(value: Any, usual: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else usual
