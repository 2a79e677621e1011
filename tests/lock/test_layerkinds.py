"""One word a layer, however a config.json says which are which."""

from typing import Any

import pytest

from deployer.lock.layerkinds import layer_kinds

LISTED = {"layer_types": ["full_attention", "sliding_attention"], "hybrid_override_pattern": "M*"}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (LISTED, ("full_attention", "sliding_attention")),
        ({"layer_types": ["full_attention", 3]}, ("full_attention", "unreadable")),
        ({"hybrid_override_pattern": "M-*E?"}, ("mamba", "mlp", "full_attention", "moe", "unreadable")),
        ({"hybrid_override_pattern": "M*", "mamba_ssm_cache_dtype": "bfloat16"}, ("mamba_of_another_type", "full_attention")),
        ({"model_type": "llama4_text", "num_hidden_layers": 2, "attention_chunk_size": 8}, ("chunked_attention",) * 2),
        ({"model_type": "llama4_text", "num_hidden_layers": 2, "no_rope_layers": [0, 1]}, ("full_attention",) * 2),
        ({"index_topk": 1, "num_hidden_layers": 2, "index_topk_pattern": "FS"}, ("sparse_attention", "sparse_attention_shared")),
        ({"index_topk": 1, "num_hidden_layers": 2, "index_topk_freq": "often"}, ("sparse_attention",) * 2),
        ({"index_topk": 1, "num_hidden_layers": 10**9}, ()),
        ({"num_hidden_layers": 2}, ()),
        ({"layer_types": "all", "num_hidden_layers": True}, ()),
    ],
)
def test_each_way_of_saying_it(text: dict[str, Any], kinds: tuple[str, ...]) -> None:
    assert layer_kinds(text) == kinds


def test_each_fourth_layer_of_llama_4_sees_everything() -> None:
    kinds = layer_kinds({"model_type": "llama4_text", "num_hidden_layers": 8, "attention_chunk_size": 8192})
    assert [n for n, kind in enumerate(kinds) if kind == "full_attention"] == [3, 7]
