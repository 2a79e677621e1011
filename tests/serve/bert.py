"""BERT for CTranslate2, made from its safetensors with numpy alone, as tests/serve/conversion.py does for a Llama; a tiny random
one; and the vectors that the original weights of all-MiniLM-L6-v2 make (`python -m tests.serve.bert FOLDER`, in an environment
with torch and transformers).
"""

import base64
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.converters import utils
from ctranslate2.specs import common_spec, transformer_spec

from tests.safetensorsfile import write_safetensors

REFERENCES = Path(__file__).parent / "minilm.json"
COPIED = ("tokenizer.json", "tokenizer_config.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json")


def tiny(root: Path) -> Path:
    """A random BERT of two layers and 32 dimensions, with the files of sentence-transformers, as a repository holds them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    config = {
        "architectures": ["BertModel"], "model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 64, "max_position_embeddings": 64, "type_vocab_size": 2, "vocab_size": 300, "layer_norm_eps": 1e-12,
    }  # fmt: skip
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *map(chr, range(33, 127)), *(f"##{chr(n)}" for n in range(33, 127))]
    words += [f"w{n}" for n in range(300 - len(words))]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding()  # as published ones often have it; the server takes it off
    (root / "1_Pooling").mkdir(parents=True)
    tokenizer.save(str(root / "tokenizer.json"))
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    stated = [{"idx": n, "path": path, "type": f"sentence_transformers.models.{name}"} for n, (path, name) in enumerate(modules)]
    for name, data in {
        "config.json": config,
        "tokenizer_config.json": {"model_max_length": 64},
        "modules.json": stated,
        "sentence_bert_config.json": {"max_seq_length": 48},
        "1_Pooling/config.json": {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True},
    }.items():
        (root / name).write_text(json.dumps(data))
    _write_random(root / "model.safetensors", config)
    return root


def _write_random(path: Path, config: dict[str, Any]) -> None:
    size, inner = config["hidden_size"], config["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], size),
        "embeddings.token_type_embeddings.weight": (2, size),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], size),
    }
    linear = {"pooler.dense": (size, size)}
    norms = ["embeddings.LayerNorm"]
    for number in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{number}"
        linear |= {f"{name}.attention.{part}": (size, size) for part in ("self.query", "self.key", "self.value", "output.dense")}
        linear |= {f"{name}.intermediate.dense": (inner, size), f"{name}.output.dense": (size, inner)}
        norms += [f"{name}.attention.output.LayerNorm", f"{name}.output.LayerNorm"]
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    random = np.random.default_rng(7)
    write_safetensors(path, {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})


def convert(root: Path, target: Path, quantization: str = "float32") -> Path:
    config = json.loads((root / "config.json").read_text())
    weights = _float32(root / "model.safetensors")
    encoder = transformer_spec.TransformerEncoderSpec(
        config["num_hidden_layers"], config["num_attention_heads"], pre_norm=False, activation=common_spec.Activation.GELU,
        layernorm_embedding=True, num_source_embeddings=2, embeddings_merge=common_spec.EmbeddingsMerge.ADD,
    )  # fmt: skip
    spec = transformer_spec.TransformerEncoderModelSpec(
        encoder, pooling_layer=True, pooling_activation=common_spec.Activation.Tanh
    )
    encoder.scale_embeddings = False
    encoder.embeddings[0].weight = weights["embeddings.word_embeddings.weight"]
    encoder.embeddings[1].weight = weights["embeddings.token_type_embeddings.weight"]
    encoder.position_encodings.encodings = weights["embeddings.position_embeddings.weight"]
    _norm(encoder.layernorm_embedding, weights, "embeddings.LayerNorm")
    _linear(spec.pooler_dense, weights, "pooler.dense")
    for number, layer in enumerate(encoder.layer):
        name = f"encoder.layer.{number}"
        split = [common_spec.LinearSpec() for _ in range(3)]
        for part, word in zip(split, ("query", "key", "value"), strict=True):
            _linear(part, weights, f"{name}.attention.self.{word}")
        utils.fuse_linear(layer.self_attention.linear[0], split)
        _linear(layer.self_attention.linear[1], weights, f"{name}.attention.output.dense")
        _norm(layer.self_attention.layer_norm, weights, f"{name}.attention.output.LayerNorm")
        _linear(layer.ffn.linear_0, weights, f"{name}.intermediate.dense")
        _linear(layer.ffn.linear_1, weights, f"{name}.output.dense")
        _norm(layer.ffn.layer_norm, weights, f"{name}.output.LayerNorm")
    tokens = json.loads((root / "tokenizer.json").read_text())["model"]["vocab"]
    spec.register_vocabulary([token for token, _ in sorted(tokens.items(), key=lambda pair: pair[1])])
    spec.config.unk_token = "[UNK]"
    spec.config.layer_norm_epsilon = config["layer_norm_eps"]
    spec.validate()
    spec.optimize(quantization=quantization)
    target.mkdir(parents=True)
    spec.save(str(target))
    for name in COPIED:
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, target / name)
    return target


def _float32(path: Path) -> dict[str, np.ndarray]:
    """Tensors by name; position_ids are whole numbers, and not weights."""
    raw = path.read_bytes()
    begin = 8 + int.from_bytes(raw[:8], "little")
    found = {}
    for name, entry in json.loads(raw[8:begin]).items():
        if entry.get("dtype") == "F32":
            first, last = entry["data_offsets"]
            found[name] = np.frombuffer(raw[begin + first : begin + last], np.float32).reshape(entry["shape"]).copy()
    return found


def _linear(spec: common_spec.LinearSpec, weights: dict[str, Any], name: str) -> None:
    spec.weight, spec.bias = weights[f"{name}.weight"], weights[f"{name}.bias"]


def _norm(spec: common_spec.LayerNormSpec, weights: dict[str, Any], name: str) -> None:
    spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


def texts() -> tuple[list[str], list[str]]:
    """200 sentences of five words and more, and 60 texts of which many are shorter, or in other scripts, or longer than the model
    reads: the first from the corpus of this repository, in its order; of the second 50 from there, spread evenly.
    """
    corpus = Path(__file__).parents[2] / "models" / "corpus"
    names = ("questions.txt", "capitals.txt", "subjects.txt")
    lines = [line for name in names for line in (corpus / name).read_text().splitlines() if not line.startswith("#")]
    found = list(dict.fromkeys(part.strip() for line in lines for part in line.split("::") if part.strip()))
    sentences = [text for text in found if len(text.split()) >= 5 and text.endswith((".", "?", "!"))]
    short = [text for text in found if len(text.split()) < 5]
    awkward = [
        "a", "?", "42", "Straße, Müller & Söhne", "Где находится вокзал?", "東京は日本の首都です。", "🙂🙃",
        "the cat sat on the mat " * 30, "def f(x): return x + 1", "ALL CAPITALS ARE MADE SMALL",
    ]  # fmt: skip
    return sentences[:200], [*short[:: len(short) // 50][:50], *awkward]


def main() -> None:
    import torch
    import transformers
    from tokenizers import Tokenizer

    root = Path(sys.argv[1])
    model = transformers.AutoModel.from_pretrained(str(root), dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(root / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(json.loads((root / "sentence_bert_config.json").read_text())["max_seq_length"])
    sentences, others = texts()
    vectors = []
    with torch.no_grad():
        for text in [*sentences, *others]:  # one by one: no padding that could matter
            hidden = model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0]
            vectors.append(torch.nn.functional.normalize(hidden.mean(dim=0), dim=0))
    packed = base64.b64encode(torch.stack(vectors).to(torch.float16).numpy().tobytes()).decode()
    made = f"transformers {transformers.__version__}, torch {torch.__version__}, float32; kept as float16"
    REFERENCES.write_text(
        json.dumps({"made_with": made, "sentences": sentences, "others": others, "vectors": packed}, ensure_ascii=False, indent=0)
        + "\n"
    )


if __name__ == "__main__":
    main()
