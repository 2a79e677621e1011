"""Values that several tests start from."""

import json
from pathlib import Path

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "torch_dtype": "bfloat16",
    "hidden_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1024,
    "max_position_embeddings": 2048,
}
CONFIG = json.dumps(LLAMA)

REPOSITORY: dict[str, bytes | str] = {
    "config.json": CONFIG,
    "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}"}),
    "model.safetensors": b"w" * 100_000,
    "pytorch_model.bin": b"old",
    "README.md": "---\nlicense: llama3.1\n---\n# A model\n",
    ".gitattributes": "*.safetensors filter=lfs\n",
}


class Token:
    """A secret as the spec resolves it."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value


def model_folder(at: Path) -> Path:
    at.mkdir(parents=True)
    (at / "config.json").write_text(CONFIG)
    (at / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}" + b"w" * 990)
    return at
