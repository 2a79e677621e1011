"""What the lock says of a model's layers and tensors, of honest files and of files that lie."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.lock.facts import facts_from_config
from deployer.lock.file import read_lock, write_lock
from deployer.lock.folder import digest_folder
from deployer.lock.tensors import counted
from deployer.state.locked import CacheFacts, Locked
from tests.lock.examples import LLAMA, model_folder

GEMMA = {
    **LLAMA,
    "model_type": "gemma4_text",
    "num_hidden_layers": 12,
    "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 2,
    "sliding_window": 1024,
    "num_global_key_value_heads": 4,
    "global_head_dim": 512,
}


def safetensors(header: Any, body: int) -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return len(text).to_bytes(8, "little") + text + b"\0" * body


def test_layers_windows_and_heads_are_read_also_inside_a_multimodal_model() -> None:
    cache = facts_from_config({"model_type": "gemma4", "text_config": GEMMA, "tie_word_embeddings": True}).cache
    assert cache is not None
    assert (cache.text_type, cache.window, cache.global_kv_heads, cache.global_head_dim) == ("gemma4_text", 1024, 4, 512)
    assert cache.layer_types.count("sliding_attention") == 10


def test_the_type_of_the_cache_in_a_quantized_checkpoint_is_read() -> None:
    for said, found in ({"kv_cache_scheme": {"num_bits": 8, "type": "float"}}, "fp8"), ({"kv_cache_quant_algo": "FP8"}, "fp8"):
        cache = facts_from_config({**LLAMA, "quantization_config": {"quant_method": "modelopt", **said}}).cache
        assert cache is not None
        assert cache.cache_dtype == found


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.sampled_from(
            ["layer_types", "sliding_window", "kv_lora_rank", "quantization_config", "use_sliding_window", "model_type"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
            max_leaves=20,
        ),
    )
)
def test_a_config_that_lies_never_raises(said: dict[str, Any]) -> None:
    cache = facts_from_config({**LLAMA, **said}).cache
    assert isinstance(cache, CacheFacts)
    assert cache.window is None or 0 < cache.window < 2**40


def test_layers_and_tensors_survive_the_lock_file(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "models" / "m")
    (folder / "config.json").write_text(json.dumps(GEMMA))
    header = {
        "a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
    }
    (folder / "model.safetensors").write_bytes(safetensors({"__metadata__": {"format": "pt"}, **header}, 12))
    model = digest_folder(folder, name="models/m")
    assert model.facts.tensors == (("BF16", 8), ("F32", 4))
    write_lock(tmp_path, Locked({model.key: model}))
    assert (
        "layer_types: sliding_attention*5 full_attention sliding_attention*5 full_attention"
        in (tmp_path / "deployer.lock").read_text()
    )
    assert read_lock(tmp_path).models[model.key] == model
    older = replace(model, facts=replace(model.facts, cache=None, tensors=()))
    write_lock(tmp_path, Locked({model.key: older}))
    assert read_lock(tmp_path).models[model.key].facts.cache is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 64,
        safetensors(b"not json", 10),
        safetensors(["a list"], 10),
        safetensors({"a": {"dtype": "BF16", "data_offsets": [0, 999]}}, 10),
        safetensors({"a": {"dtype": "BF16", "data_offsets": [8, 0]}}, 10),
        safetensors({"a": {"dtype": "ZEBRA", "data_offsets": [0, 8]}}, 10),
        safetensors({"a": {"dtype": "BF16", "data_offsets": [0, 8]}, "b": {"dtype": "BF16", "data_offsets": [0, 8]}}, 10),
        safetensors({"a": 7}, 10),
    ],
)
def test_a_corrupt_safetensors_header_is_not_known_and_no_traceback(tmp_path: Path, content: bytes) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(content)
    assert digest_folder(folder).facts.tensors == ()


def test_a_hubs_count_is_believed_only_when_it_agrees_with_the_files() -> None:
    assert counted({"BF16": 1000, "F32": 10}, 2050) == {"BF16": 2000, "F32": 40}
    assert counted({"BF16": 1000}, 9000) == {}
    assert counted({"ZEBRA": 1000}, 2000) == {}
    assert counted({"BF16": -1}, 2) == {}
    assert counted(None, 2000) == {}
    assert counted({"BF16": 1000}, None) == {}
