"""A random Llama of some 70 million parameters with a tokenizer of its own: as a CTranslate2 model, and as the folder that a hub
would give. Used by bench_serve, bench_serve_memory and bench_peers.

What it says makes no sense, and costs as much to say as if it did. Made with numpy alone; the same bytes every time.
"""

import json
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np

from tests.safetensorsfile import write_safetensors
from tests.serve.conversion import llama, save

CONFIG: dict[str, Any] = {
    "num_hidden_layers": 8,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "vocab_size": 16384,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_theta": 10000.0},
}
CONTEXT = 2048
_SPECIAL = ("<unk>", "<s>", "</s>")


def make_model(target: Path, quantization: str = "int8") -> Path:
    """Writes everything that the server reads."""
    tokens, merges = _vocabulary(CONFIG["vocab_size"])
    spec = llama(CONFIG, _weights(CONFIG))
    spec.register_vocabulary(tokens)
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = _SPECIAL
    save(spec, target, quantization)
    _write_tokenizer(target, tokens, merges)
    return target


def make_checkpoint(target: Path) -> Path:
    """The same weights in float32 as a hub has them: config.json, model.safetensors, and what belongs to the tokenizer."""
    target.mkdir(parents=True, exist_ok=True)
    config = {
        **CONFIG,
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "hidden_act": "silu",
        "head_dim": CONFIG["hidden_size"] // CONFIG["num_attention_heads"],
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "rope_parameters": {**CONFIG["rope_parameters"], "rope_type": "default"},
    }
    (target / "config.json").write_text(json.dumps(config))
    write_safetensors(target / "model.safetensors", _weights(CONFIG))
    _write_tokenizer(target, *_vocabulary(CONFIG["vocab_size"]))
    return target


def _write_tokenizer(target: Path, tokens: list[str], merges: list[list[str]]) -> None:
    special = [{"id": at, "content": name, "special": True, **_PLAIN} for at, name in enumerate(_SPECIAL)]
    model = {"type": "BPE", "vocab": {token: at for at, token in enumerate(tokens)}, "merges": merges, "unk_token": "<unk>"}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    whole = {"version": "1.0", "added_tokens": special, "pre_tokenizer": byte_level, "decoder": byte_level, "model": model}
    template = "{% for m in messages %}{{ m.content }} {% endfor %}"
    (target / "chat_template.jinja").write_text(template)
    settings = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "PreTrainedTokenizerFast"}
    for name, data in (
        ("tokenizer.json", whole),
        ("tokenizer_config.json", {**settings, "model_max_length": CONTEXT}),
        ("generation_config.json", {"eos_token_id": 2}),
    ):
        (target / name).write_text(json.dumps(data), encoding="utf-8")


_PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def _vocabulary(size: int) -> tuple[list[str], list[list[str]]]:
    """Special tokens, one per byte, then words of two and three letters and what makes them, until there are enough."""
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = [*_SPECIAL, *sorted(ByteLevel.alphabet())]
    pairs = [["Ġ", letter] for letter in ascii_lowercase] + [list(pair) for pair in product(ascii_lowercase, repeat=2)]
    triples = [[a + b, c] for a, b, c in product(ascii_lowercase, repeat=3)]
    merges = [*pairs, *triples][: size - len(tokens)]
    return [*tokens, *("".join(merge) for merge in merges)], merges


def _weights(config: dict[str, Any]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    keys = hidden // config["num_attention_heads"] * config["num_key_value_heads"]

    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.04)

    weights = {
        "model.embed_tokens.weight": matrix(config["vocab_size"], hidden),
        "model.norm.weight": np.ones(hidden, np.float32),
    }
    for number in range(config["num_hidden_layers"]):
        layer = {
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }
        weights |= {f"model.layers.{number}.{name}.weight": matrix(*shape) for name, shape in layer.items()}
        norms = ("input_layernorm", "post_attention_layernorm")
        weights |= {f"model.layers.{number}.{name}.weight": np.ones(hidden, np.float32) for name in norms}
    return weights
