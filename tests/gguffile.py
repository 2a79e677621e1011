"""A GGUF file of models/tiny-chat, for tests: weights in float32 under llama.cpp's names, byte-level BPE, chat template. Of any
other folder with a small Llama too: the benchmark of peers makes one.
"""

import json
import struct
from pathlib import Path
from typing import Any

TINY = Path(__file__).parent.parent / "models" / "tiny-chat"
ALIGNMENT = 32
_U32, _F32, _BOOL, _STRING, _ARRAY, _I32 = 4, 6, 7, 8, 9, 5
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind: int, said: Any) -> bytes:
    if kind == _STRING:
        return string(said)
    return struct.pack({_U32: "<I", _I32: "<i", _F32: "<f", _BOOL: "<?"}[kind], said)


def pair(key: str, kind: int, said: Any) -> bytes:
    return string(key) + struct.pack("<I", kind) + value(kind, said)


def array(key: str, kind: int, said: list[Any]) -> bytes:
    head = string(key) + struct.pack("<IIQ", _ARRAY, kind, len(said))
    return head + b"".join(value(kind, one) for one in said)


def header(pairs: list[bytes], tensors: list[bytes], *, magic: bytes = b"GGUF", version: int = 3) -> bytes:
    return magic + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs) + b"".join(tensors)


def _tensors(source: Path) -> dict[str, tuple[list[int], bytes]]:
    """By llama.cpp's name: shape as GGUF has it (the fastest first), bytes."""
    content = (source / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    config = json.loads((source / "config.json").read_text())
    found = {}
    for name, about in json.loads(content[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        assert about["dtype"] == "F32"
        start, end = (8 + length + offset for offset in about["data_offsets"])
        raw, shape = content[start:end], about["shape"]
        for word, heads in (("q_proj", config["num_attention_heads"]), ("k_proj", config["num_key_value_heads"])):
            if word in name:
                raw = _interleaved(raw, shape, heads)
        found[_renamed(name)] = (shape[::-1], raw)
    return found


def _renamed(name: str) -> str:
    name = name.removeprefix("model.").removesuffix(".weight")
    if name.startswith("layers."):
        _, number, rest = name.split(".", 2)
        return f"blk.{number}.{_NAMES[rest]}.weight"
    return {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}[name] + ".weight"


def _interleaved(raw: bytes, shape: list[int], heads: int) -> bytes:
    """Rows in the order that llama.cpp's rotation wants: the two halves of each head alternate."""
    rows, width = shape[0], 4 * shape[1]
    each, half = rows // heads, rows // heads // 2
    order = [head * each + part * half + row for head in range(heads) for row in range(half) for part in (0, 1)]
    return b"".join(raw[row * width : (row + 1) * width] for row in order)


def pairs(source: Path = TINY) -> list[bytes]:
    config = json.loads((source / "config.json").read_text())
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    settings = json.loads((source / "tokenizer_config.json").read_text())
    vocabulary = {**tokenizer["model"]["vocab"], **{t["content"]: t["id"] for t in tokenizer["added_tokens"]}}
    tokens = sorted(vocabulary, key=lambda token: int(vocabulary[token]))
    special = {t["content"] for t in tokenizer["added_tokens"]}
    rope = (config.get("rope_parameters") or config).get("rope_theta", 10000.0)
    numbers = {
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "rope.dimension_count": config["head_dim"],
        "vocab_size": config["vocab_size"],
    }
    return [
        pair("general.architecture", _STRING, "llama"),
        pair("general.name", _STRING, source.name),
        pair("general.file_type", _U32, 0),
        *(pair(f"llama.{key}", _U32, number) for key, number in numbers.items()),
        pair("llama.attention.layer_norm_rms_epsilon", _F32, config["rms_norm_eps"]),
        pair("llama.rope.freq_base", _F32, rope),
        pair("tokenizer.ggml.model", _STRING, "gpt2"),
        pair("tokenizer.ggml.pre", _STRING, "gpt-2"),
        array("tokenizer.ggml.tokens", _STRING, tokens),
        array("tokenizer.ggml.token_type", _I32, [3 if token in special else 1 for token in tokens]),
        array("tokenizer.ggml.merges", _STRING, [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]),
        pair("tokenizer.ggml.bos_token_id", _U32, vocabulary[settings["bos_token"]]),
        pair("tokenizer.ggml.eos_token_id", _U32, vocabulary[settings["eos_token"]]),
        pair("tokenizer.ggml.add_bos_token", _BOOL, True),
        pair("tokenizer.chat_template", _STRING, (source / "chat_template.jinja").read_text()),
    ]


def write_gguf(target: Path, source: Path = TINY) -> Path:
    infos, data, at = [], list[bytes](), 0
    for name, (shape, raw) in _tensors(source).items():
        infos.append(string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, at))
        data.append(raw + bytes(-len(raw) % ALIGNMENT))
        at += len(data[-1])
    head = header(pairs(source), infos)
    target.write_bytes(b"".join((head, bytes(-len(head) % ALIGNMENT), *data)))
    return target
