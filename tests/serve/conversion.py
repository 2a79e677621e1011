"""models/tiny-chat for CTranslate2, made from its safetensors with numpy alone.

What hosts run is CTranslate2's own converter, which needs torch and transformers; the lab tests use that one. This is the same
mapping of weights for the one architecture, so that the server's tests have the real engine in a second.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.converters import utils
from ctranslate2.specs import common_spec, transformer_spec

COPIED = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """float32 tensors by name."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32"
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(raw[8 + size + begin : 8 + size + end], dtype=np.float32).reshape(entry["shape"])
    return tensors


def convert(source: Path, target: Path) -> Path:
    config = json.loads((source / "config.json").read_text())
    tokens = json.loads((source / "tokenizer.json").read_text())["model"]["vocab"]
    settings = json.loads((source / "tokenizer_config.json").read_text())
    spec = llama(config, read_safetensors(source / "model.safetensors"))
    spec.register_vocabulary([token for token, _ in sorted(tokens.items(), key=lambda pair: pair[1])])
    for name in ("bos_token", "eos_token", "unk_token"):
        setattr(spec.config, name, settings[name])
    save(spec, target, "float32")
    for name in COPIED:
        shutil.copy(source / name, target / name)
    assert ctranslate2.contains_model(str(target))
    return target


def save(spec: transformer_spec.TransformerDecoderModelSpec, target: Path, quantization: str) -> None:
    spec.validate()
    spec.optimize(quantization=quantization)
    target.mkdir(parents=True, exist_ok=True)
    spec.save(str(target))


def llama(config: dict[str, Any], weights: dict[str, np.ndarray]) -> transformer_spec.TransformerDecoderModelSpec:
    """`config` and the names of `weights` as transformers has them."""
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        config["num_hidden_layers"],
        config["num_attention_heads"],
        activation=common_spec.Activation.SWISH,
        pre_norm=True,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
        rotary_base=config["rope_parameters"]["rope_theta"],
        num_heads_kv=config["num_key_value_heads"],
    )
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = weights["model.embed_tokens.weight"]
    decoder.projection.weight = weights["model.embed_tokens.weight"]
    decoder.layer_norm.gamma = weights["model.norm.weight"]
    for number, layer in enumerate(decoder.layer):
        _layer(layer, {k.split(".", 3)[3]: v for k, v in weights.items() if k.startswith(f"model.layers.{number}.")})
    spec.config.layer_norm_epsilon = config["rms_norm_eps"]
    return spec


def _layer(layer: transformer_spec.TransformerDecoderLayerSpec, weights: dict[str, np.ndarray]) -> None:
    layer.self_attention.layer_norm.gamma = weights["input_layernorm.weight"]
    layer.ffn.layer_norm.gamma = weights["post_attention_layernorm.weight"]
    split = [common_spec.LinearSpec() for _ in range(3)]
    for spec, name in zip(split, "qkv", strict=True):
        spec.weight = weights[f"self_attn.{name}_proj.weight"]
    utils.fuse_linear(layer.self_attention.linear[0], split)
    layer.self_attention.linear[1].weight = weights["self_attn.o_proj.weight"]
    layer.ffn.linear_0.weight = weights["mlp.gate_proj.weight"]
    layer.ffn.linear_0_noact.weight = weights["mlp.up_proj.weight"]
    layer.ffn.linear_1.weight = weights["mlp.down_proj.weight"]
